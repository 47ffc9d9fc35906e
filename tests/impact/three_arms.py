"""A recorded experiment with three arms whose figures are known, because each visitor's fate is decided before a row is
written. `python -m tests.impact.three_arms` writes the files under data/three_arms/ anew (always the same ones).

Nothing here uses the program: what counts is noted while it is decided, what must not count is only written.
"""

from __future__ import annotations

import csv
import json
import random
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

FOLDER = Path(__file__).parent / "data" / "three_arms"
START = int(datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp() * 1000)
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ARMS = {"control": "A", "short": "B", "guided": "C"}
VISITORS = {"control": 612, "short": 598, "guided": 605}
CALL_RATE = {"control": 0.20, "short": 0.16, "guided": 0.09}
ORDER_RATE = {"control": 0.30, "short": 0.31, "guided": 0.30}
CALL_COST = Fraction("11.20")

MAPPING = """\
experiment: help-layout
title: Three layouts of the help page
currency: EUR
exposures:
  files: events.jsonl
  visitor: user.id
  arm: props.variant
  time: ts
  id: event_id
  where: {type: experiment_viewed, props.experiment: help-layout}
  exclude: {user.staff: true}
arms: {control: A, short: B, guided: [C, c]}
control: control
shares: {control: 1, short: 1, guided: 1}
window: {from: 2026-03-02, until: 2026-03-16}
attribution: 7d
outcomes:
  phone_call:
    kind: anti_conversion
    label: Call to the help desk
    files: calls.csv
    visitor: customer
    time: called_at
    id: call_id
    exclude: {topic: sales}
    amount: 11.20
  purchase:
    kind: conversion
    label: Purchase
    files: events.jsonl
    id: event_id
    time: ts
    where: {type: purchase}
    amount: props.total
"""


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Recording:
    """Writes rows, and keeps what they should add up to."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.events: list[tuple[int, str]] = []
        self.calls: list[tuple[str, str, str, str, str]] = []
        self.number = 0
        self.expected = {
            arm: {"visitors": 0, "phone_call": {"visitors": 0, "count": 0, "amount": Fraction(0)},
                  "purchase": {"visitors": 0, "count": 0, "amount": Fraction(0)}}
            for arm in ARMS
        }  # fmt: skip
        self.left_out = dict.fromkeys(("two_arms", "staff", "other_arm", "outside", "duplicate_exposures"), 0)

    def event(self, at: int, kind: str, visitor: str, staff: bool = False, copies: int = 1, **props: object) -> None:
        self.number += 1
        row = {"event_id": f"e{self.number}", "ts": iso(at), "type": kind, "user": {"id": visitor, "staff": staff},
               "props": props}  # fmt: skip
        self.events += [(at, json.dumps(row))] * copies

    def exposure(self, at: int, visitor: str, value: str, staff: bool = False, copies: int = 1) -> None:
        self.event(at, "experiment_viewed", visitor, staff, copies, experiment="help-layout", variant=value)

    def call(self, at: int, visitor: str, topic: str = "delivery", copies: int = 1) -> None:
        self.number += 1
        self.calls += [(f"c{self.number}", visitor, iso(at), topic, str(self.random.randint(2, 20)))] * copies

    # --- visitors who count

    def visitor(self, arm: str, name: str) -> None:
        chance, kept = self.random, self.expected[arm]
        at = START + chance.randrange(12 * DAY)
        copies = 2 if chance.random() < 0.04 else 1
        self.left_out["duplicate_exposures"] += copies - 1
        self.exposure(at, name, ARMS[arm] if chance.random() < 0.9 or arm != "guided" else "c", copies=copies)
        if chance.random() < 0.3:  # comes again: the first time decides
            self.exposure(at + chance.randrange(1, DAY), name, ARMS[arm])
        if chance.random() < 0.25:  # another experiment, with arms of the same names
            self.event(at - MINUTE, "experiment_viewed", name, experiment="banner", variant=chance.choice("ABC"))
        kept["visitors"] += 1
        self._calls(arm, name, at)
        self._orders(arm, name, at)

    def _calls(self, arm: str, name: str, at: int) -> None:
        chance, kept = self.random, self.expected[arm]["phone_call"]
        if chance.random() < CALL_RATE[arm]:
            count = 2 if chance.random() < 0.15 else 1
            # Late ones too: at the very moment, days later, and in the last millisecond of the seven days.
            delays = [chance.choice([0, 5 * MINUTE, 3 * DAY, 7 * DAY - 1]) for _ in range(count)]
            for delay in delays:
                self.call(at + delay, name, copies=2 if chance.random() < 0.1 else 1)
            kept["visitors"] += 1
            kept["count"] += count
            kept["amount"] += CALL_COST * count
        for delay in (-1, -2 * DAY, 7 * DAY, 9 * DAY):  # too early, too late: never counted
            if chance.random() < 0.05:
                self.call(at + delay, name)
        if chance.random() < 0.05:
            self.call(at + HOUR, name, topic="sales")

    def _orders(self, arm: str, name: str, at: int) -> None:
        chance, kept = self.random, self.expected[arm]["purchase"]
        if chance.random() < ORDER_RATE[arm]:
            totals = [f"{chance.lognormvariate(3.4, 0.9):.2f}" for _ in range(1 + (chance.random() < 0.1))]
            for index, total in enumerate(totals):
                value: object = total if index % 2 else float(total)  # as a number, and as text
                self.event(at + chance.randrange(5 * DAY), "purchase", name, total=value)
                kept["amount"] += Fraction(total)
            kept["visitors"] += 1
            kept["count"] += len(totals)
        if chance.random() < 0.06:
            self.event(at - HOUR, "purchase", name, total=999.99)

    # --- those who do not

    def noise(self) -> None:
        chance = self.random
        for number in range(23):
            name, at = f"both-{number}", START + chance.randrange(10 * DAY)
            self.exposure(at, name, "A")
            self.exposure(at + HOUR, name, "B")
            self.call(at + 2 * HOUR, name)
            self.left_out["two_arms"] += 1
        for number in range(11):
            at = START + chance.randrange(10 * DAY)
            self.exposure(at, f"staff-{number}", "C", staff=True)
            self.call(at + HOUR, f"staff-{number}")
            self.left_out["staff"] += 1
        for number in range(7):
            self.exposure(START + number * HOUR, f"other-{number}", "D")
            self.left_out["other_arm"] += 1
        for number, at in enumerate((START - 3 * DAY, START - 2 * DAY, START + 15 * DAY, START + 20 * DAY)):
            self.exposure(at, f"outside-{number}", "B")
            self.left_out["outside"] += 1
        for number in range(150):  # outcomes of people who were never exposed
            self.call(START + chance.randrange(14 * DAY), f"stranger-{number}")
            self.event(START + chance.randrange(14 * DAY), "purchase", f"stranger-{number}", total=12.5)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.random.shuffle(self.events)  # the order of the file says nothing
        lines = [line for _, line in self.events]
        lines.insert(100, '{"event_id": "torn", "ts": "2026-03-0')
        (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
        self.random.shuffle(self.calls)
        with (folder / "calls.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("call_id", "customer", "called_at", "topic", "minutes"))
            writer.writerows(self.calls)
        (folder / "mapping.yaml").write_text(MAPPING)
        (folder / "expected.json").write_text(json.dumps(self.plain(), indent=1) + "\n")

    def plain(self) -> dict[str, object]:
        arms = {
            arm: {"visitors": kept["visitors"]} | {
                name: kept[name] | {"amount": f"{float(kept[name]['amount']):.2f}"}
                for name in ("phone_call", "purchase")
            }
            for arm, kept in self.expected.items()
        }  # fmt: skip
        return {"arms": arms, "left_out": self.left_out}


def write_all(folder: Path) -> None:
    recording = Recording()
    for arm, visitors in VISITORS.items():
        for number in range(visitors):
            recording.visitor(arm, f"{arm[0]}-{number}")
    recording.noise()
    recording.write(folder)


if __name__ == "__main__":
    write_all(FOLDER)
