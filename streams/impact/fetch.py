"""Totals from a file, or from the running API."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import msgspec

from streams.errors import AvertError, SettingsError
from streams.impact.model import Totals

TIMEOUT_S = 10.0
BYTES_MAX = 64 * 1024 * 1024  # some thousand rules; more is not this
ROUTE = "/v1/impact"


class ImpactUnavailableError(AvertError):
    """The totals cannot be had, or are none."""

    reason = "impact_unavailable"


def totals_of_file(path: Path) -> Totals:
    """Totals as JSON in a file. Raises ImpactUnavailableError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ImpactUnavailableError(f"{path}: {error.strerror or error}") from error
    return _totals(raw, str(path))


def totals_of_api(url: str, key: str | None) -> Totals:
    """``GET /v1/impact`` of a running API, by the server key. Raises SettingsError, ImpactUnavailableError."""
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"--url wants an address such as http://127.0.0.1:8080 and not {url!r}")
    if not key:
        raise SettingsError("the API tells its totals to who has the server key: --key, or a file of keys in"
                            " AVERT_KEYS_FILE that has one")  # fmt: skip
    address = url.rstrip("/")
    address = address if address.endswith(ROUTE) else address + ROUTE
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - see above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            raw = answer.read(BYTES_MAX + 1)
    except urllib.error.HTTPError as error:
        raise ImpactUnavailableError(f"{address}: {error.code} {error.reason}") from error
    except OSError as error:
        raise ImpactUnavailableError(f"{address}: {getattr(error, 'reason', None) or error}") from error
    return _totals(raw, address)


def _totals(raw: bytes, where: str) -> Totals:
    if len(raw) > BYTES_MAX:
        raise ImpactUnavailableError(f"{where}: more than {BYTES_MAX:,} bytes")
    try:
        totals = msgspec.json.decode(raw, type=Totals)
    except msgspec.DecodeError as error:
        raise ImpactUnavailableError(f"{where}: no totals: {error}") from error
    for rule in totals.rules:
        for arm in rule.arms:
            for name, counted in arm.outcomes.items():
                if not 0 <= counted.visitors <= min(arm.visitors, counted.count) or counted.micros_squared < 0:
                    raise ImpactUnavailableError(
                        f"{where}: rule {rule.rule!r}, arm {arm.arm!r}, outcome {name!r}: {counted.visitors} of "
                        f"{arm.visitors} visitors with {counted.count} outcomes cannot be"
                    )
    return totals
