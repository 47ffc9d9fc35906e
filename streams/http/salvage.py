"""A list of events of which one breaks the whole body's JSON (``NaN``, nesting without end): find the others.

Only used once the decoder has given up. It does not judge: it finds where the elements of a list begin and end, by
strings and brackets alone, and each element is then judged like any other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

# A body of a megabyte of ordinary events has a tenth of this; a body of brackets must not hold up the loop.
_TOKENS_MAX = 200_000


@lru_cache(maxsize=8)  # one for each name that a protocol has for its list
def _list_start(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'\s*(?:\[|\{.*?"' + re.escape(name.encode()) + rb'"\s*:\s*\[)', re.DOTALL)


_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE_STRING = re.compile(rb'["\\]')


class Salvaged(NamedTuple):
    """The elements' bytes, and the body with an empty list in their place."""

    elements: list[bytes]
    rest: bytes


def salvage_list(body: bytes, name: str = "events") -> Salvaged | None:
    """Take apart the body's list, or the one called `name`. None when there is none, or it has no end."""
    start = _list_start(name).match(body)
    if start is None:
        return None
    elements: list[bytes] = []
    depth, begin, position = 0, start.end(), start.end()
    for _ in range(_TOKENS_MAX):
        token = _OUTSIDE.search(body, position)
        if token is None:
            return None
        position = token.end()
        sign = token.group()
        if sign == b'"':
            position = _string_end(body, position)
        elif sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
        if depth < 0 or (depth == 0 and sign == b","):
            elements.append(body[begin:token.start()].strip())
            begin = position
        if depth < 0:
            if elements == [b""]:
                elements = []
            return Salvaged(elements, body[: start.end()] + body[token.start() :])
    return None


def _string_end(body: bytes, position: int) -> int:
    """Where the string that began before `position` is over; the body's end when it never is."""
    while True:
        sign = _INSIDE_STRING.search(body, position)
        if sign is None:
            return len(body)
        if sign.group() == b'"':
            return sign.end()
        position = sign.end() + 1  # a backslash and whatever it escapes
