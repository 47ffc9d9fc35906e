"""Ask running workers why a rule fired or not: the one that has the visitor's partition answers.

A name that stands for several machines (a service of Docker Compose, a headless one of Kubernetes) is all of them.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

import msgspec

from streams.errors import AvertError, SettingsError
from streams.settings import Settings
from streams.worker.explaining import ExplainedNow, load_admin_keys

TIMEOUT_S = 10.0


class NoAnswerError(AvertError):
    """None of the workers could answer."""

    reason = "no_answer"


def ask_workers(settings: Settings, addresses: Iterable[str], visitor: str, rule: str | None) -> ExplainedNow:
    """The answer of the first worker that has the visitor. Without addresses: the one of the settings, on its port.

    Raises SettingsError without an admin key, NoAnswerError with what each of them said.
    """
    keys = load_admin_keys(settings.keys_file)
    if not keys:
        raise SettingsError("AVERT_KEYS_FILE names no file with `admin_keys`; a worker explains to an admin only")
    asked = list(addresses) or [f"http://{settings.worker_http_host}:{settings.worker_http_port}"]
    query = urlencode({"visitor": visitor} | ({"rule": rule} if rule else {}))
    said = []
    # No proxy: the port is private, and the key is for the worker alone.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for base in [machine for address in asked for machine in machines(address)]:
        request = urllib.request.Request(  # noqa: S310 - an address that the operator gave
            f"{base}/v1/explain?{query}", headers={"Authorization": f"Bearer {keys[0]}"}
        )
        try:
            with direct.open(request, timeout=TIMEOUT_S) as answer:
                return msgspec.json.decode(answer.read(), type=ExplainedNow)
        except urllib.error.HTTPError as error:
            said.append(f"{base}: {error.code} {_why(error)}")
            if error.code not in (HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE):
                break  # the others would say the same
        except (OSError, msgspec.DecodeError) as error:
            said.append(f"{base}: {error}")
    raise NoAnswerError("; ".join(said))


def machines(address: str) -> list[str]:
    """``NAME:PORT`` or ``http://NAME:PORT`` as one address a machine; as it was given when nobody knows the name."""
    base = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(base)
        host, port = parts.hostname or "", parts.port
        if parts.scheme != "http" or port is None:  # a certificate is for the name
            return [base.rstrip("/")]
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return [base.rstrip("/")]
    hosts = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)
    return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host in hosts]


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason
