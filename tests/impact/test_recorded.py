"""Recorded experiments: a large one whose figures were decided beforehand, and small ones for each law."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streams.impact.assess import assess
from streams.impact.mapping import read_experiment
from streams.impact.model import MICROS, Totals
from streams.impact.recorded import totals_of
from streams.replay import ReplayError
from tests.impact.three_arms import FOLDER, MAPPING, write_all

SMALL = """\
experiment: small
exposures: {visitor: who, arm: arm, time: at, id: id, where: {what: seen}}
arms: {control: [0], new: [1]}
control: control
attribution: 10s
outcomes:
  chat: {kind: anti_conversion, where: {what: chat}, time: at, id: id, amount: cost}
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(rows: list[dict[str, Any]], mapping: str = SMALL) -> Totals:
        (tmp_path / "map.yaml").write_text(mapping)
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return totals_of([tmp_path / "rows.jsonl"], read_experiment(tmp_path / "map.yaml"))

    return run


def seen(who: str, arm: object, at: int, **more: object) -> dict[str, Any]:
    return {"what": "seen", "who": who, "arm": arm, "at": at, **more}


def chat(who: str, at: int, cost: object = 6.5, **more: object) -> dict[str, Any]:
    return {"what": "chat", "who": who, "at": at, "cost": cost, **more}


def chats(totals: Totals) -> dict[str, tuple[int, int, int, float]]:
    """Of each arm: visitors, with a chat, chats, money."""
    return {
        arm.arm: (arm.visitors, (one := arm.outcomes["chat"]).visitors, one.count, one.micros / MICROS)
        for arm in totals.rules[0].arms
    }


def counts(totals: Totals) -> dict[str, int | None]:
    return {note.text.split(" (")[0]: note.count for note in totals.notes}


# --- the large one -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three() -> tuple[Totals, dict[str, Any]]:
    totals = totals_of([FOLDER / "events.jsonl", FOLDER / "calls.csv"], read_experiment(FOLDER / "mapping.yaml"))
    return totals, json.loads((FOLDER / "expected.json").read_text())


def test_three_arms_are_counted_exactly(three: tuple[Totals, dict[str, Any]]) -> None:
    totals, expected = three
    found = {
        arm.arm: {"visitors": arm.visitors} | {
            name: {"visitors": one.visitors, "count": one.count, "amount": f"{Decimal(one.micros) / MICROS:.2f}"}
            for name, one in arm.outcomes.items()
        }
        for arm in totals.rules[0].arms
    }  # fmt: skip
    assert found == expected["arms"]


def test_three_arms_have_exact_rates_and_means(three: tuple[Totals, dict[str, Any]]) -> None:
    totals, expected = three
    report = assess(totals).rules[0]
    for arm in report.arms:
        known = expected["arms"][arm.arm]
        assert arm.primary.treated.rate == known["phone_call"]["visitors"] / known["visitors"]
        mean = float(Fraction(known["purchase"]["amount"]) / known["visitors"])
        assert arm.beside[0].comparison.treated.amount_per_visitor == pytest.approx(mean, rel=1e-15)


def test_what_does_not_count_is_counted_by_its_reason(three: tuple[Totals, dict[str, Any]]) -> None:
    totals, expected = three
    left_out, found = expected["left_out"], counts(totals)
    assert found["exposures: duplicates by `event_id`"] == left_out["duplicate_exposures"]
    assert found["exposures: rows that `exclude` leaves out"] == left_out["staff"]
    assert found["exposures: `props.variant` says no known arm"] == left_out["other_arm"]
    assert found["exposures: outside the window"] == left_out["outside"]
    assert found["visitors in two arms, left out"] == left_out["two_arms"]
    assert found["phone_call: of visitors in two arms"] == left_out["two_arms"]
    assert found["purchase: of visitors who were not exposed"] == 150
    assert found["lines that are no rows"] == 1


def test_the_files_are_what_their_generator_writes(tmp_path: Path) -> None:
    write_all(tmp_path)
    for path in FOLDER.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_packed_and_as_parquet_it_is_the_same(three: tuple[Totals, dict[str, Any]], tmp_path: Path) -> None:
    packed, calls = tmp_path / "events.jsonl.gz", tmp_path / "calls.parquet"
    packed.write_bytes(gzip.compress((FOLDER / "events.jsonl").read_bytes()))
    pl.read_csv(FOLDER / "calls.csv").with_columns(
        pl.col("called_at").str.to_datetime(time_zone="UTC")
    ).write_parquet(calls)
    mapping = MAPPING.replace("events.jsonl", "events.jsonl.gz").replace("calls.csv", "calls.parquet")
    (tmp_path / "map.yaml").write_text(mapping)
    totals = totals_of([calls, packed], read_experiment(tmp_path / "map.yaml"))
    assert totals.rules[0].arms == three[0].rules[0].arms


def test_the_last_look_is_the_whole(three: tuple[Totals, dict[str, Any]]) -> None:
    totals, _ = three
    rule = totals.rules[0]
    whole = [[arm.arm, arm.visitors, arm.outcomes[rule.target].visitors] for arm in rule.arms]
    assert [[one.arm, one.visitors, one.happened] for one in rule.looks[-1].arms] == whole


# --- one law each ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "counted"), [(999, 0), (1_000, 1), (10_999, 1), (11_000, 0)])
def test_an_outcome_counts_from_the_exposure_until_the_window_ends(run: Any, at: int, counted: int) -> None:
    base = 1_700_000_000_000
    totals = run([seen("a", 1, base + 1_000), seen("b", 0, base), chat("a", base + at)])
    assert chats(totals)["new"][2] == counted


def test_the_first_exposure_decides_in_whatever_order_rows_come(run: Any) -> None:
    base = 1_700_000_000_000
    rows = [seen("b", 0, base), chat("a", base + 500), seen("a", 1, base + 5_000), seen("a", 1, base)]
    assert chats(run(rows)) == {"control": (1, 0, 0, 0), "new": (1, 1, 1, 6.5)}


def test_who_is_in_two_arms_is_left_out_or_stays_in_the_first(run: Any) -> None:
    base = 1_700_000_000_000
    rows = [seen("b", 0, base), seen("a", 0, base + 9), seen("a", 1, base), chat("a", base + 10), seen("c", 1, base)]
    assert chats(run(rows)) == {"control": (1, 0, 0, 0), "new": (1, 0, 0, 0)}
    assert chats(run(rows, SMALL + "two_arms: first\n")) == {"control": (1, 0, 0, 0), "new": (2, 1, 1, 6.5)}


def test_an_id_counts_once(run: Any) -> None:
    base = 1_700_000_000_000
    rows = [seen("a", 1, base), seen("b", 0, base), *[chat("a", base, id=name) for name in ("x", "y", "x", 7, "7")]]
    assert chats(run(rows))["new"][2] == 3


@pytest.mark.parametrize("value", [1, "1", 1.0, True])
def test_arms_are_known_by_their_text(run: Any, value: object) -> None:
    mapping = SMALL.replace("[1]", "[1, true]")
    assert chats(run([seen("a", value, 1_700_000_000_000), seen("b", "0", 1_700_000_000_000)], mapping))["new"][0] == 1


def test_sums_are_exact_and_amounts_that_are_none_are_told(run: Any) -> None:
    base = 1_700_000_000_000
    rows = [seen("a", 1, base), seen("b", 0, base)]
    rows += [chat("a", base, cost) for cost in [0.1] * 10 + ["0.2", None, "much", True]]
    totals = run(rows)
    assert chats(totals)["new"] == (1, 1, 14, 1.2)
    arm = next(arm for arm in totals.rules[0].arms if arm.arm == "new")
    assert arm.outcomes["chat"].unpriced == 3
    assert arm.outcomes["chat"].micros_squared == 1_200_000**2


def test_columns_of_one_row_may_be_exposure_and_outcome(tmp_path: Path) -> None:
    """Exported experiments often have one row a visitor, without times."""
    (tmp_path / "wide.csv").write_text("user,segment,visit,spend\n1,mail,1,12.5\n2,none,0,0\n3,mail,0,0\n4,none,1,0\n")
    (tmp_path / "map.yaml").write_text(
        "experiment: mail\nexposures: {visitor: user, arm: segment}\narms: {none: none, mail: mail}\ncontrol: none\n"
        "outcomes:\n  visit: {kind: conversion, where: {visit: 1}, amount: spend}\n"
    )
    totals = totals_of([tmp_path / "wide.csv"], read_experiment(tmp_path / "map.yaml"))
    found = {arm.arm: (arm.visitors, arm.outcomes["visit"].visitors, arm.outcomes["visit"].micros)
             for arm in totals.rules[0].arms}  # fmt: skip
    assert found == {"none": (2, 1, 0), "mail": (2, 1, 12_500_000)}
    assert totals.rules[0].looks == []


def test_who_did_something_else_instead_is_counted(run: Any) -> None:
    mapping = SMALL + "  phone: {kind: anti_conversion, where: {what: phone}, time: at}\n"
    base = 1_700_000_000_000
    rows = [seen(who, 1, base) for who in "abc"] + [seen("d", 0, base), chat("a", base)]
    rows += [{"what": "phone", "who": who, "at": base} for who in "aab"]
    totals = run(rows, mapping)
    assert {arm.arm: arm.instead for arm in totals.rules[0].arms} == {"control": {}, "new": {"phone": 1}}


def test_nobody_exposed_is_an_error_that_says_why(run: Any) -> None:
    with pytest.raises(ReplayError, match="says no known arm"):
        run([seen("a", 5, 1_700_000_000_000)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"`phone_call` wants the file 'calls\.csv'"):
        totals_of([FOLDER / "events.jsonl"], read_experiment(FOLDER / "mapping.yaml"))


def test_a_file_named_twice_would_count_twice() -> None:
    path = FOLDER / "events.jsonl"
    with pytest.raises(ReplayError, match="twice"):
        totals_of([path, path], read_experiment(FOLDER / "mapping.yaml"))
