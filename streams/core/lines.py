"""The lines that the totals are made of, and how they are written; totals.py folds effects into them.

Apart because a msgspec Struct cannot be compiled (see setup.py), and the fold can.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from streams.core.effects import Arm
from streams.core.funnel_totals import FunnelLine, funnel_key


class Credit(msgspec.Struct, array_like=True):
    """One outcome's share of a line: visitors with at least one, outcomes, money, sum of squared money per visitor."""

    visitors: int = 0
    outcomes: int = 0
    micros: int = 0
    squares: int = 0  # micro-units squared
    unpriced: int = 0  # of the outcomes, those whose amount was not there


class RuleLine(msgspec.Struct, omit_defaults=True, tag="rule", tag_field="line"):
    """What is known of one rule's visitors of one arm and variant. Times in ms."""

    rule: str
    arm: Arm
    variant: str = ""
    number: int = 0
    exposed: int = 0  # visitors
    first_at: int = 0  # of the exposures
    last_at: int = 0
    decisions: dict[str, int] = {}  # by kind; suppressed ones by ``suppressed:REASON``
    receipts: dict[str, int] = {}  # suggestions by shown, clicked, dismissed
    nudge_micros: int = 0  # what the shown ones cost
    outcomes: dict[str, Credit] = {}  # of each name, and of all anti-conversions together (ALL_COSTS)
    target: str = ""  # the rule's own outcome
    instead: dict[str, int] = {}  # visitors without the rule's own outcome, by what they had instead
    versions: dict[str, int] = {}  # exposures by the rule's version


class Priced(msgspec.Struct, array_like=True):
    """One version of an outcome's cost: outcomes, money, time (ms) of the first outcome that it was applied to."""

    outcomes: int = 0
    micros: int = 0
    first_at: int = 0


class OutcomeLine(msgspec.Struct, omit_defaults=True, tag="outcome", tag_field="line"):
    """All outcomes of one name, credited or not."""

    outcome: str
    kind: Literal["conversion", "anti_conversion"] = "anti_conversion"
    currency: str = ""
    number: int = 0
    unattributed: int = 0  # those that no exposure was credited with
    unpriced: int = 0  # those whose amount was not there
    micros: int = 0
    first_at: int = 0
    last_at: int = 0
    prices: dict[str, Priced] = {}


Line = RuleLine | OutcomeLine | FunnelLine

_encode = msgspec.json.Encoder().encode
_decode: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def line_key(line: Line) -> str:
    """What tells a line from all others: of one partition there is one line of a key."""
    if isinstance(line, RuleLine):
        return f"rule/{line.rule}/{line.arm}/{line.variant}"
    if isinstance(line, FunnelLine):
        return funnel_key(line)
    return f"outcome/{line.outcome}"


def encode_line(line: Line) -> bytes:
    """The line as it is stored and published (JSON)."""
    return _encode(line)


def decode_line(value: bytes) -> Line:
    """The line. Raises msgspec.DecodeError."""
    return _decode.decode(value)
