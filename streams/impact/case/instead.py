"""The findings once more: who they were, and what those did next who did without the anti-conversion.

1. Of each finding's visitors the very next step after it is looked at, apart for those whom the outcome followed and
   those whom it did not. Who took none before the outcome came, or left, is in neither: the others would seem to have
   done more of everything, only because they went on.
2. Shown are the steps that the latter took more often, with an interval of the difference of shares that is meant for
   all steps of the finding together (Bonferroni; the method of judge.py). Only those whose interval holds no zero.
3. A finding that says nothing beyond others (whoever opened the help page on returns has opened a help page) stands
   with them and not beside them. Findings of one outcome are taken from the strongest to the weakest; one that is
   followed by no more than its base where none of those taken before was done, is part of the one it shares most with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from streams.impact.case.count import first_of
from streams.impact.case.judge import RATE_FALSE, Finding, Shares, interval
from streams.impact.case.lanes import Lane
from streams.impact.case.steps import Antecedent
from streams.impact.case.visitor import Visit

PATTERNS_MAX: Final = 200_000  # which findings come together: beyond, only known combinations are counted
STEPS_SHOWN_MAX: Final = 4
STEPS_MIN: Final = 10  # visitors who took a step, of both groups: of fewer nothing can be said
_STEPS_KEPT_MAX: Final = 5_000  # different steps after one finding: beyond, only known ones are counted
_KNOWN: Final = 1e9  # a sample size at which a share is as good as known: the base, beside a finding's few visitors


class Step(NamedTuple):
    """What some did next: the share of those without the outcome, and of those with it."""

    antecedent: Antecedent
    without: float
    with_outcome: float
    difference_low: float
    difference_high: float


class Instead:
    """Counts of the second pass, by finding."""

    def __init__(self, asked: Sequence[tuple[Antecedent, int]], lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._by_lane: dict[int, dict[Antecedent, list[int]]] = {}
        for number, (one, lane) in enumerate(asked):
            self._by_lane.setdefault(lane, {}).setdefault(one, []).append(number)
        self.asked = list(asked)
        self.visitors = [[0, 0] for _ in asked]  # [without, with the outcome]
        self.went_on = [[0, 0] for _ in asked]  # of these, who took a next step
        self.steps: list[list[Counter[Antecedent]]] = [[Counter(), Counter()] for _ in asked]
        self.converted: list[list[Counter[str]]] = [[Counter(), Counter()] for _ in asked]
        # By outcome, how many visitors there were of each set of findings (as bits), and of those that it followed.
        self.patterns: dict[int, Counter[tuple[int, int]]] = {lane: Counter() for lane in self._by_lane}

    def add(self, visit: Visit) -> None:
        """One visitor."""
        for lane, antecedents in self._by_lane.items():
            begin, found = visit.begins[lane], visit.happened[lane]
            if begin < 0:
                continue
            end = bisect_left(visit.times, found[0][0], begin) if found else len(visit.times)
            first = first_of(visit.steps, begin, end)
            did = led = 0
            for one in antecedents.keys() & first.keys():
                index = begin + first[one]
                since, window = visit.times[index], self._lanes[lane].window_ms
                followed = bool(found) and found[0][0] - since < window
                upto = since + window
                for number in antecedents[one]:
                    did |= 1 << number
                    led |= followed << number
                    self._one(number, visit, (index + 1, end), followed, upto)
            patterns = self.patterns[lane]
            if did and (len(patterns) < PATTERNS_MAX or (did, led) in patterns):
                patterns[did, led] += 1

    def _one(self, number: int, visit: Visit, rest: tuple[int, int], followed: bool, upto: int) -> None:
        self.visitors[number][followed] += 1
        since = visit.times[rest[0] - 1]
        for name in {one.outcome for one in visit.outcomes if one.kind == "conversion" and since < one.at < upto}:
            self.converted[number][followed][name] += 1
        # The next event at another time: several of one moment (a page, and what is on it) are one step.
        begin = next((index for index in range(*rest) if visit.times[index] > since and visit.steps[index]), None)
        if begin is None or visit.times[begin] >= upto:
            return
        self.went_on[number][followed] += 1
        end = bisect_right(visit.times, visit.times[begin], begin, rest[1])
        counter = self.steps[number][followed]
        room = len(counter) < _STEPS_KEPT_MAX
        for one in {one for found in visit.steps[begin:end] for one in found if one.kind != "path" and one.times == 1}:
            if room or one in counter:
                counter[one] += 1

    def grouped(self, found: Sequence[Finding], error: float) -> dict[int, list[int]]:
        """Findings of their own, by number, each with those that are part of it (3)."""
        groups: dict[int, list[int]] = {}
        strongest = sorted(range(len(found)), key=lambda at: -found[at].extra_low / found[at].visitors)
        for number in strongest:
            rivals = [own for own in groups if found[own].lane == found[number].lane]
            shared = self._shared(found[number], number, rivals)
            if shared is None or self._beyond(found[number], number, rivals, error):
                groups[number] = []
            else:
                groups[shared].append(number)
        return groups

    def _shared(self, one: Finding, number: int, rivals: Sequence[int]) -> int | None:
        """The rival that most of those whom the outcome followed did as well."""
        counts = dict.fromkeys(rivals, 0)
        for (did, led), visitors in self.patterns[one.lane].items():
            if led >> number & 1:
                for rival in rivals:
                    counts[rival] += visitors * (did >> rival & 1)
        best = max(rivals, key=lambda rival: counts[rival], default=None)
        return best if best is not None and counts[best] else None

    def _beyond(self, one: Finding, number: int, rivals: Sequence[int], error: float) -> bool:
        """Whether more than its base follows where none of the rivals was done."""
        others = sum(1 << rival for rival in rivals)
        visitors = followed = 0
        for (did, led), many in self.patterns[one.lane].items():
            if did >> number & 1 and not did & others:
                visitors += many
                followed += many * (led >> number & 1)
        share = one.expected / one.visitors
        alone = Shares(*(np.array([value]) for value in (visitors, followed, share, _KNOWN)))
        return visitors > 0 and bool(interval(alone, error)[0][0] > 0)

    def next_steps(self, number: int) -> list[Step]:
        """What those without the outcome did more often, what differs most first."""
        without, with_it = self.steps[number]
        n0, n1 = self.went_on[number]
        names = sorted(
            one for one in without if without[one] + with_it[one] >= STEPS_MIN and one != self.asked[number][0]
        )
        if not names or not n0 or not n1:
            return []
        followed = np.array([without[one] for one in names])
        base = np.array([with_it[one] / n1 for one in names])
        shares = Shares(np.full(len(names), n0), followed, base, np.full(len(names), float(n1)))
        low, high = interval(shares, RATE_FALSE / len(names))
        order = sorted(range(len(names)), key=lambda at: (-(followed[at] / n0 - base[at]), names[at]))
        return [
            Step(names[at], float(followed[at] / n0), float(base[at]), float(low[at]), float(high[at]))
            for at in order
            if low[at] > 0
        ][:STEPS_SHOWN_MAX]
