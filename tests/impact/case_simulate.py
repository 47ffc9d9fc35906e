"""What the case's statistics keep: ``python -m tests.impact.case_simulate [--runs 300]``; one JSON line last.

1. No cause at all: any finding is false. How often is there one, and how often would there be without the correction?
2. Planted causes: of all findings, how many are of something that was only there (the false discovery rate)? How many
   of the causes are found, and how often does the interval of a finding hold the truth, which a far larger run knows?

The short version of it is tests/impact/test_case_simulated.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from streams.core.event import Event
from streams.impact.case.count import Counts
from streams.impact.case.judge import RATE_FALSE, Judged, Shares, judge, p_values, shares_of
from streams.impact.case.steps import Antecedent, Trail
from tests.impact.case_made_up import CAUSES, FIELDS, PAGES, QUERIES, SKUS, TOPICS, visitors

OUTCOMES = {"chat_opened": 6_500_000, "phone_call": 11_200_000}
LANES = list(OUTCOMES)
WINDOW_MS = 86_400_000
DECOY_PAGES = {*PAGES, *(f"/p/{sku}" for sku in SKUS)}
DECOYS = {
    "search": {*QUERIES, "cancel order"}, "empty_search": set(QUERIES), "help": set(TOPICS), "product": set(SKUS),
    "form_error": {f"address: {field}" for field in FIELDS}, "error": {"timeout after * ms"}, "page": DECOY_PAGES,
    "event": {"product_view", "js_error"},
}  # fmt: skip


class Answer(NamedTuple):
    """One experiment, judged."""

    counts: Counts
    names: list[Antecedent]
    judged: Judged


def counted(recording: Iterable[list[Event]]) -> Counts:
    """The counts of visitors whose outcomes are single events; no engine is needed for these."""
    counts, trail = Counts([WINDOW_MS] * len(LANES), [True] * len(LANES)), Trail(1_800_000)
    for events in recording:
        trail.begin()
        steps = [trail.of(event) for event in events]
        happened = [[(event.ts, OUTCOMES[name]) for event in events if event.type == name] for name in LANES]
        counts.add([event.ts for event in events], steps, [0] * len(LANES), happened)
    counts.tidy()
    return counts


def answered(recording: Iterable[list[Event]]) -> Answer:
    """One experiment."""
    counts = counted(recording)
    names = list(counts.rows)
    allowed = np.array([[one.type != lane for lane in LANES] for one in names])
    return Answer(counts, names, judge(counts, allowed))


def is_decoy(one: Antecedent) -> bool:
    """Whether it has nothing to do with any cause."""
    if one.kind == "path":
        return set(one.text.split(" > ")) <= DECOY_PAGES
    return one.text in DECOYS.get(one.kind, ())


def causes() -> set[tuple[str, str, str]]:
    """(kind, text, outcome's event) of what was planted."""
    return {(*cause, outcome) for cause, (outcome, _) in CAUSES.items()}


def false_and_found(answer: Answer) -> tuple[int, int, int]:
    """(findings of decoys, all findings, causes found)."""
    found = [(answer.names[one.row], LANES[one.lane]) for one in answer.judged.findings]
    hit = {(one.kind, one.text, lane) for one, lane in found} & causes()
    return sum(is_decoy(one) for one, _ in found), len(found), len(hit)


def decoy_p(answer: Answer) -> np.ndarray:
    """The p-values of all decoys that at least so many did as are judged."""
    made = []
    for lane in range(len(LANES)):
        shares = shares_of(answer.counts.strata(lane))
        rows = [at for at, one in enumerate(answer.names) if is_decoy(one) and shares.visitors[at] >= 20]
        made.append(p_values(Shares(*(part[rows] for part in shares))))
    return np.concatenate(made)


def truths(number: int, seed: int) -> dict[tuple[Antecedent, int], float]:
    """The difference of the shares, from a recording so large that it may be called the truth."""
    counts = counted(visitors(number, seed))
    found = {}
    for lane in range(len(LANES)):
        shares = shares_of(counts.strata(lane))
        for at, one in enumerate(counts.rows):
            if shares.visitors[at] >= number / 100:
                found[one, lane] = float(shares.followed[at] / shares.visitors[at] - shares.base[at])
    return found


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--visitors", type=int, default=600)
    options = parser.parse_args()
    started, runs, many = time.monotonic(), options.runs, options.visitors
    alarms, small, naive = 0, [], 0
    for run in range(runs):
        answer = answered(visitors(many, options.seed * 100_000 + run, {}))
        alarms += bool(answer.judged.findings or answer.judged.fewer)
        p = decoy_p(answer)
        small.append((p <= RATE_FALSE).mean())
        naive += int((p <= RATE_FALSE).sum())
    truth = truths(40_000, options.seed)
    shares_false, found, held = [], 0, []
    for run in range(runs):
        answer = answered(visitors(many, options.seed * 100_000 + 50_000 + run))
        false, all_found, hit = false_and_found(answer)
        shares_false.append(false / max(all_found, 1))
        found += hit
        for one in answer.judged.findings:
            known = truth.get((answer.names[one.row], one.lane))
            if known is not None:
                held.append(one.extra_low <= known * one.visitors <= one.extra_high)
    print(json.dumps({
        "runs": runs, "visitors": many, "any_finding_without_cause": alarms / runs,
        "p_at_most_5_percent": float(np.mean(small)), "uncorrected_findings_a_run": naive / runs,
        "false_discovery_rate": float(np.mean(shares_false)), "causes_found": found / runs / len(CAUSES),
        "intervals": len(held), "coverage": float(np.mean(held)) if held else None,
        "seconds": round(time.monotonic() - started),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
