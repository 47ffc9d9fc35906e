"""Numbers as people read them. One place, so that terminal and page say the same."""

from __future__ import annotations

from datetime import UTC, datetime

from streams.impact.report import Estimate

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
_CENTS_BELOW = 1_000
_MILLS_FROM = 0.01
_WHOLE = 1e-9  # percent: what 3 * 5 % is off 15 % by


def percent(share: float | None, digits: int | None = None) -> str:
    """``12.3 %``; two significant places of small shares, so that 0.5 % and 0.05 % differ."""
    if share is None:
        return NONE
    value = share * 100
    if digits is None:
        digits = 0 if abs(value - round(value)) < _WHOLE else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return _signed(f"{value:.{digits}f}") + " %"


def _signed(text: str) -> str:
    """With a real minus, and none before a zero."""
    return text.replace("-", "" if not text.strip("-0.") else MINUS)


def points(difference: float, *, signed: bool = True) -> str:
    """A difference of shares in percentage points: ``-1.8 points``."""
    value = difference * 100
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", MINUS) + " points"


def money(amount: float | None, unit: str) -> str:
    """``1,234.50 EUR``."""
    return NONE if amount is None else f"{amount:,.2f} {unit}".replace("-", MINUS)


def round_money(amount: float | None, unit: str) -> str:
    """An amount of which the cents say nothing: ``10,658 EUR``; below a thousand they are shown."""
    if amount is None or abs(amount) < _CENTS_BELOW:
        return money(amount, unit)
    return f"{amount:,.0f} {unit}".replace("-", MINUS)


def count(number: float | None) -> str:
    """A whole number with separators."""
    return NONE if number is None else f"{number:,.0f}".replace("-", MINUS)


def days(number: float | None) -> str:
    """A waiting time: ``8 hours``, ``12 days``, ``5 months``."""
    if number is None:
        return NONE
    for unit, size, until in (("hours", 1 / 24, 2.0), ("days", 1.0, 60.0), ("months", 30.4, 730.0)):
        if number < until:
            rounded = max(round(number / size), 1)
            return f"{rounded} {unit if rounded > 1 else unit[:-1]}"
    return f"{number / 365:,.0f} years"


def probability(share: float) -> str:
    """A chance in whole percent, never 0 nor 100."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def day(at: int | None) -> str:
    """``2026-11-22``, UTC."""
    return NONE if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")


def moment(at: int | None) -> str:
    """``2026-11-22 14:05``, UTC."""
    return NONE if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def noun(label: str) -> str:
    """An outcome's label inside a sentence."""
    return f"“{label}”"


def change(difference: float, unit: str, *, signed: bool = True) -> str:
    """A difference in its unit: points of a rate where `unit` is empty, else an amount per visitor."""
    if not unit:
        return points(difference, signed=signed)
    digits = 3 if abs(difference) >= _MILLS_FROM else 5
    text = f"{difference:+,.{digits}f}" if signed else f"{difference:,.{digits}f}"
    return f"{text} {unit} a visitor".replace("-", MINUS)


def compared(difference: float, unit: str) -> str:
    """A difference as a comparison: ``1.8 points lower``."""
    return change(abs(difference), unit, signed=False) + (" lower" if difference < 0 else " higher")


def between(found: Estimate, unit: str) -> str:
    """Both ends: ``between 0.6 and 3.0 points lower``, or ``from 1.0 points lower to 0.2 points higher``."""
    if found.low is None or found.high is None:
        return "no interval yet"
    if found.low < 0 < found.high:
        return f"from {compared(found.low, unit)} to {compared(found.high, unit)}"
    near, far = sorted((found.low, found.high), key=abs)
    tail = f" {unit} a visitor" if unit else " points"
    return f"between {change(abs(near), unit, signed=False).removesuffix(tail)} and {compared(far, unit)}"


def about(number: float) -> str:
    """A number of which two places are known: ``20,000``."""
    digits = max(len(str(round(number))) - 2, 0)
    return count(round(number, -digits))


def short_money(amount: float) -> str:
    """An amount for an axis: ``1.2k``, ``-300``."""
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:,.3g}{letter}".replace("-", MINUS)
    return f"{amount:,.3g}".replace("-", MINUS)
