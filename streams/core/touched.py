"""The triggers that one step touches, each once and in the order in which they are judged.

A list that is kept in order rather than a set that is sorted: nearly always there are one or two of them.
"""

from __future__ import annotations

from streams.core.ruleset import Fires


def touch(touched: list[Fires], triggers: tuple[Fires, ...]) -> None:
    """Add the triggers. Both are in the order of their indices, and stay so."""
    for trigger in triggers:
        place = len(touched)
        if place and touched[place - 1].index >= trigger.index:
            place = _place(touched, trigger.index)
            if touched[place] is trigger:
                continue
        touched.insert(place, trigger)


def _place(touched: list[Fires], index: int) -> int:
    """Where the first of them stands that has this index or a greater one."""
    low, high = 0, len(touched)
    while low < high:
        middle = (low + high) // 2
        if touched[middle].index < index:
            low = middle + 1
        else:
            high = middle
    return low
