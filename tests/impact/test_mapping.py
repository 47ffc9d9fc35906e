"""Mapping files: what is wrong is told with its place and the nearest valid word."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from streams.errors import RuleFileError
from streams.impact.mapping import read_experiment

GOOD = """\
experiment: e
exposures: {visitor: who, arm: props.arm, time: at}
arms: {control: A, new: [B, 2]}
control: control
outcomes:
  chat: {kind: anti_conversion, amount: {of: cost, times: 0.12}}
  order: {kind: conversion, visitor: buyer, time: bought, amount: 6.50}
"""


def read(folder: Path, text: str) -> object:
    (folder / "map.yaml").write_text(text)
    return read_experiment(folder / "map.yaml")


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    found = read_experiment_of(tmp_path, GOOD)
    assert (found.currency, found.two_arms, found.measure, found.primary) == ("EUR", "exclude", "rate", "chat")
    assert found.arms == {"A": "control", "B": "new", "2": "new"}
    chat, order = found.outcomes
    assert (chat.source.visitor, chat.source.time) == ("who", "at")
    assert (order.source.visitor, order.source.time) == ("buyer", "bought")
    assert (str(chat.amount), order.amount.fixed if order.amount else None) == ("0.12 of cost", Decimal("6.50"))


def read_experiment_of(folder: Path, text: str):
    read(folder, text)
    return read_experiment(folder / "map.yaml")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("arms:", "arm:", "1:1: an experiment needs `arms`"),
        ("arms:", "amrs:", "3:1: unknown key `amrs` in an experiment; did you mean `arms`?"),
        ("control: control", "control: contrl", "4:1: unknown name `contrl`; did you mean `control`?"),
        ("[B, 2]", "[A]", "3:1: `A` is in two arms"),
        (", new: [B, 2]", "", "3:1: an experiment has two arms at least"),
        ("kind: anti_conversion", "kind: anticonversion", "6:16: unknown word `anticonversion`"),
        ("time: at}", "time: at, where: {x: {greater: 3}}}", "unknown operator `greater`; did you mean `gt`?"),
        ("time: at}", "time: at, where: {x: {changed: true}}}", "`changed` compares with an earlier event"),
        ("control: control", "control: control\nattribution: 7", "a duration needs a unit"),
        ("control: control", "control: control\nprimary: ordr", "unknown name `ordr`; did you mean `order`?"),
        ("control: control", "control: control\nshares: {knew: 1}", "unknown arm `knew`; did you mean `new`?"),
        ("control: control", "control: control\nwindow: {from: soon}", "expected a moment such as `2026-01-31`"),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, before: str, after: str, said: str) -> None:
    with pytest.raises(RuleFileError) as error:
        read(tmp_path, GOOD.replace(before, after, 1))
    assert said in str(error.value)


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError) as error:
        read(tmp_path, GOOD.replace("arms:", "arm:").replace("kind: conversion", "kind: sale"))
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(("text", "said"), [("", "found 0"), (GOOD + "---\n" + GOOD, "found 2")])
def test_one_experiment_to_a_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RuleFileError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"none\.yaml"):
        read_experiment(tmp_path / "none.yaml")
