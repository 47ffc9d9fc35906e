"""The case of a recording, from the file to page and drafts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams import cli
from streams.backtest.interest import Interest
from streams.backtest.play import play, trial_ruleset
from streams.backtest.recordings import Reading, parts_of, read_part
from streams.backtest.shards import group
from streams.core.event import Event
from streams.core.ruleset import EngineOptions
from streams.embedded.recorded_shop import RECORDING
from streams.impact.case.page import page_of
from streams.impact.case.report import Before, Case, make_case
from streams.impact.case.run import study
from streams.impact.case.steps import Antecedent
from streams.replay import ReplayOptions
from streams.rulefiles.program import load_program
from tests.impact.case_made_up import write
from tests.impact.case_simulate import causes, is_decoy
from tests.impact.test_assess import arm, totals

SHOP = ["--format", "snowplow_ecommerce", "--rules", str(RECORDING.parent / "rules")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write(tmp_path_factory.mktemp("site"), 2_000)


def case_of(site: tuple[Path, Path], **resources: int) -> Case:
    file, rules = site
    program = load_program(rules, EngineOptions())[0]
    return make_case(study([file], program, EngineOptions(), ReplayOptions(), **resources), program)


@pytest.fixture(scope="module")
def made(site: tuple[Path, Path]) -> Case:
    return case_of(site)


def test_what_was_planted_is_found(made: Case) -> None:
    events = {"support_chat": "chat_opened", "phone_call": "phone_call"}
    found = {(one.group, one.antecedent, events.get(one.outcome, "")) for one in made.findings}
    assert causes() <= found


def test_what_is_only_there_is_not(made: Case) -> None:
    assert not [one for one in made.findings if is_decoy_of(one)]


def is_decoy_of(one: Before) -> bool:
    return one.outcome != "checkout_abandoned" and is_decoy(Antecedent(one.group, one.antecedent, 1, ""))


def test_the_dearest_comes_first_and_its_interval_holds_it(made: Case) -> None:
    costs = [one.cost for one in made.findings]
    assert [one.value for one in costs] == sorted((one.value for one in costs), reverse=True)
    assert all(one.low < one.value < one.high for one in costs)


def test_costs_by_kind_and_day_are_the_recordings(site: tuple[Path, Path], made: Case) -> None:
    lines = [json.loads(line) for line in site[0].read_text().splitlines()]
    chats = [line for line in lines if line["type"] == "chat_opened"]
    [cost] = [one for one in made.costs if one.outcome == "support_chat"]
    assert (cost.count, cost.amount) == (len(chats), 6.5 * len(chats))
    for day in made.days:
        of_day = [line for line in chats if day.at <= line["ts"] < day.at + 86_400_000]
        assert day.amounts.get("support_chat", 0) == 6.5 * len(of_day)


def test_who_found_the_answer_did_something_else(made: Case) -> None:
    [one] = [one for one in made.findings if one.antecedent == "cancel order"]
    assert "Order tracked" in [step.label for step in one.instead]
    assert all(step.without > step.with_outcome and step.low > 0 for step in one.instead)
    [solved] = one.converted
    assert solved.without > 3 * solved.with_outcome


def test_what_says_nothing_beyond_a_stronger_finding_stands_with_it(made: Case) -> None:
    [one] = [one for one in made.findings if one.antecedent == "address: iban"]
    assert "Form error" in one.parts
    assert "Form error" not in [other.label for other in made.findings]


def test_through_files_it_is_the_same(site: tuple[Path, Path], made: Case) -> None:
    again = case_of(site, in_memory_bytes=0)
    assert msgspec.structs.replace(again, seconds=0.0) == msgspec.structs.replace(made, seconds=0.0)


def test_each_draft_backtested_fires_at_the_visitors_of_its_finding(
    site: tuple[Path, Path], made: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rules = site
    (tmp_path / "outcomes.yaml").write_text((rules / "outcomes.yaml").read_text())
    for one in made.findings:
        (tmp_path / f"{one.rule}.yaml").write_text(one.draft)
    assert cli.main(["rules", "test", str(tmp_path)]) == 0
    capsys.readouterr()
    assert cli.main(["rules", "backtest", str(file), "--rules", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    ruleset = trial_ruleset(load_program(tmp_path, EngineOptions())[0], EngineOptions())
    fired: dict[str, set[str]] = {}
    everybody: dict[str, list[Event]] = {}
    group(read_part(parts_of([file])[0], ReplayOptions(), Interest([ruleset]), Reading()), everybody)
    for visitor, events in everybody.items():
        for decision in play(events, ruleset).decisions:
            fired.setdefault(decision.rule, set()).add(visitor)
    seen = {rule["rule"]: rule["visitors"] for rule in report["result"]["rules"]}
    for one in made.findings:
        assert seen[one.rule] == len(fired[one.rule]) >= one.visitors
        assert len(fired[one.rule]) <= one.visitors * 1.05  # and few others: those at whom it was too late to count


def test_the_page_stands_alone(made: Case) -> None:
    page = page_of(made)
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|https?://", page)
    for one in made.findings:
        assert one.rule in page
    assert "correlation, not a cause" in page


def test_what_visitors_typed_cannot_break_the_page(made: Case) -> None:
    nasty = msgspec.structs.replace(made.findings[0], label="<script>alert(1)</script>", draft="# <b>\n")
    assert "<script>" not in page_of(msgspec.structs.replace(made, findings=[nasty]))


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> int:
    return cli.main([str(one) for one in ("case", *arguments)])


def test_the_recorded_shop_costs_what_its_owner_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(RECORDING, *SHOP, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    [cost] = [one for one in made["costs"] if one["kind"] == "anti_conversion"]
    known = json.loads((RECORDING.parent / "expected_sessions.json").read_text())
    assert cost["count"] == sum(row["session_cart_abandoned"] is True for row in known)
    assert made["findings"] == []  # 60 visitors: nothing can be said of so few, and nothing is


def test_on_the_terminal_it_says_the_costs_and_prints_the_drafts(
    site: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site[0], "--rules", site[1], "--top", 2) == 0
    out = capsys.readouterr().out
    assert "What anti-conversions cost" in out
    assert out.count("mode: draft") == 2


def test_drafts_are_written_and_not_over_what_is_there(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (site[0], "--rules", site[1], "--drafts", tmp_path, "--json")
    assert run(*arguments) == 0
    names = {f"{one['rule']}.yaml" for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert run(*arguments) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_kept_case_becomes_a_part_of_the_impact_page(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(site[0], "--rules", site[1], "--json") == 0
    (tmp_path / "case.json").write_text(capsys.readouterr().out)
    counted = msgspec.json.encode(totals([arm("control", 2_000, 400), arm("treated", 18_000, 2_700)]))
    (tmp_path / "totals.json").write_bytes(counted)
    page = tmp_path / "page.html"
    given = ["impact", "--totals", tmp_path / "totals.json", "--html", page, "--case", tmp_path / "case.json"]
    assert cli.main([str(one) for one in given]) == 0
    assert 'id="case-before"' in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 8, "at least one recorded file"),
        (["nowhere.jsonl"], 8, "nowhere.jsonl"),
        ([RECORDING, RECORDING], 8, "named twice"),
        ([RECORDING, "--top", 0], 2, "--top"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[Any], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, *SHOP) == code
    assert said in capsys.readouterr().err


def test_rules_without_an_anti_conversion_make_no_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outcomes.yaml").write_text(
        "currency: EUR\noutcomes:\n  sale: {kind: conversion, when: {event: purchase}, value: 1}\n"
    )
    assert run(RECORDING, "--format", "snowplow_ecommerce", "--rules", tmp_path) == 2
    assert "no outcome is an anti_conversion" in capsys.readouterr().err


def test_lines_that_are_no_events_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, rules = write(tmp_path, 5)
    file.write_text("broken\n" + file.read_text())
    assert run(file, "--rules", rules) == 0
    assert "lines that could not be read: 1" in " ".join(capsys.readouterr().out.split())


def test_outcomes_without_an_amount_are_said_and_found_all_the_same(
    site: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = (site[1] / "outcomes.yaml").read_text().replace("cost: 11.20", "cost: {of: minutes, times: 1}")
    (tmp_path / "outcomes.yaml").write_text(rules)
    assert run(site[0], "--rules", tmp_path) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "had no amount: their cost is not in it" in out
    assert "Form error: address: iban: 0.00 EUR" in out


@pytest.mark.parametrize("consent", ["denied", {"personalization": True, "measurement": False}])
def test_without_consent_nobody_is_looked_at(
    consent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, rules = write(tmp_path, 50)
    rows = [json.loads(line) | {"context": {"consent": consent}} for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    assert run(file, "--rules", rules, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["visitors"], made["events"], made["costs"], made["looked_at"]) == (0, 0, [], {})
