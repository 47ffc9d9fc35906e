"""How numbers are written for people: the same in the terminal and on the page."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "-"
_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0))


def share(value: float | None) -> str:
    """0.1234 is 12 %; near the ends with one decimal."""
    if value is None:
        return NONE
    percent = value * 100
    return f"{percent:.1f} %" if 0 < percent < 10 or 99 <= percent < 100 else f"{percent:.0f} %"


def duration(seconds: float | None) -> str:
    """90 is 1m 30s; two units at most."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds:.2g}s" if seconds else "0s"
    left, parts = round(seconds), []
    for unit, size in _UNITS:
        number, left = divmod(left, int(size))
        if number:
            parts.append(f"{number}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def span(seconds: float) -> str:
    """A setting in words: 86400 is 24 hours."""
    for name, size, upto in (("minute", 60, 2 * 3600), ("hour", 3600, 2 * 86_400), ("day", 86_400, None)):
        if seconds % size == 0 and seconds >= size and (upto is None or seconds < upto):
            number = round(seconds / size)
            return f"{number} {name}{'s' if number > 1 else ''}"
    return duration(seconds)


def money(amount: float | None, currency: str) -> str:
    """1234.5 is 1,235 EUR; small sums with cents."""
    if amount is None:
        return NONE
    return f"{amount:,.2f} {currency}" if abs(amount) < 100 else f"{amount:,.0f} {currency}"


def times(value: float | None) -> str:
    """2.345 is 2.3 times."""
    return NONE if value is None else f"{value:.1f} x"


def day(ms: int | None) -> str:
    """The moment as a UTC date and minute."""
    return NONE if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def reasons(counts: dict[str, int]) -> str:
    """``limit_session 3, outranked 1``; the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in ordered) or NONE
