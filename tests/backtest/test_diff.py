"""Two rule sets over the same events: what is decided differently, and how that is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from streams import cli
from streams.backtest.command import Columns
from streams.backtest.diff import EXAMPLES_PER_RULE_MAX, Choice
from streams.backtest.page import interval, page, verdict
from streams.backtest.recordings import read_mapping
from streams.backtest.words import duration, money, share, span
from streams.replay import ReplayError
from tests.backtest.support import MINUTE, T0, line, one_rule, recording, report_on, result_of, rule, rules_dir

TWICE = "{count: {event: search}, at_least: 2, within: 5m}"
THRICE = "{count: {event: search}, at_least: 3, within: 5m}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """v searches twice, w three times, u not at all."""
    return recording(
        tmp_path / "log.jsonl",
        line(0, "search"), line(MINUTE, "search"),
        line(0, "search", "w"), line(MINUTE, "search", "w"), line(2 * MINUTE, "search", "w"),
        line(3 * MINUTE, "chat_opened", "w"), line(0, "chat_opened", "u"),
    )  # fmt: skip


def test_equal_rules_decide_equally(tmp_path: Path, log: Path) -> None:
    one, two = (rules_dir(tmp_path / name, rule("r", TWICE)) for name in ("one", "two"))
    difference = report_on(one, log, against=two).decided_differently
    assert difference is not None
    assert (difference.visitors, difference.different, difference.rules) == (3, 0, {})


def test_what_is_gone_and_what_is_new(tmp_path: Path, log: Path) -> None:
    before, now = rules_dir(tmp_path / "before", rule("r", TWICE)), rules_dir(tmp_path / "now", rule("r", THRICE))
    difference = report_on(now, log, against=before).decided_differently
    assert difference is not None
    assert difference.different == 2
    found = difference.rules["r"]
    # v: no longer; w: a minute later, which is one decision gone and one new.
    assert (found.visitors, found.gone, found.new, found.changed) == (2, 2, 1, 0)
    example = next(example for example in found.examples if example.visitor == "v")
    assert (example.at, example.after) == (T0 + MINUTE, None)
    assert example.before == Choice("suggested", None, "p-r | en: Help? | ")
    assert example.events == [(T0, "search"), (T0 + MINUTE, "search")]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"title": "May we help?"}, Choice("suggested", None, "p-r | en: May we help? | ")),
        ({"mode": "shadow"}, Choice("shadow")),
    ],
)
def test_what_is_changed(tmp_path: Path, log: Path, change: dict[str, str], after: Choice) -> None:
    before = rules_dir(tmp_path / "before", rule("r", TWICE))
    now = rules_dir(tmp_path / "now", rule("r", TWICE, **change))
    difference = report_on(now, log, against=before).decided_differently
    assert difference is not None
    found = difference.rules["r"]
    assert (difference.different, found.gone, found.new, found.changed) == (2, 0, 0, 2)
    assert {example.after for example in found.examples} == {after}


def test_a_rule_in_one_of_them_only(tmp_path: Path, log: Path) -> None:
    before = rules_dir(tmp_path / "before", rule("old", TWICE), rule("r", TWICE))
    now = rules_dir(tmp_path / "now", rule("new", THRICE), rule("r", TWICE))
    report = report_on(now, log, against=before)
    assert [(change.rule, change.sessions) for change in report.changes] == [
        ("new", (None, 1)), ("r", (2, 2)), ("old", (2, None)),
    ]  # fmt: skip


def test_examples_are_few_and_the_same_however_many_share_the_work(tmp_path: Path) -> None:
    before, now = rules_dir(tmp_path / "before", rule("r", TWICE)), rules_dir(tmp_path / "now", rule("r", THRICE))
    rows = [line(at * MINUTE, "search", f"v{number}") for number in range(50) for at in range(2)]
    log = recording(tmp_path / "many.jsonl", *rows)
    found = report_on(now, log, against=before).decided_differently
    assert found is not None
    assert found.different == 50
    assert len(found.rules["r"].examples) == EXAMPLES_PER_RULE_MAX
    assert cli.main(["rules", "diff", str(before), str(now), str(log), "--processes", "2"]) == 0


# --- the commands -----------------------------------------------------------------------------------------------


def test_backtest_as_json(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = rules_dir(tmp_path / "rules", rule("r", TWICE))
    assert cli.main(["rules", "backtest", str(log), "--rules", str(rules), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["result"]["rules"][0]
    assert (found["rule"], found["alarms"], found["followed"], found["leads_s"]) == ("r", 2, 1, [120])


def test_backtest_on_the_terminal(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = rules_dir(tmp_path / "rules", rule("r", TWICE), rule("quiet", "{event: never_sent}"))
    other = rules_dir(tmp_path / "other", rule("r", THRICE))
    page_path = tmp_path / "page.html"
    arguments = ["--rules", str(rules), "--against", str(other), "--html", str(page_path)]
    assert cli.main(["rules", "backtest", str(log), *arguments]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "7 events of 3 visitors in 3 sessions" in said
    assert "50 % (1/2)" in said
    assert "never fired: quiet" in said
    assert "2 of 3 visitors are decided differently" in said
    assert "1 → 2" in said
    assert page_path.read_text().startswith("<!doctype html>")


def test_diff_as_json_and_in_words(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, now = rules_dir(tmp_path / "before", rule("r", TWICE)), rules_dir(tmp_path / "now", rule("r", THRICE))
    assert cli.main(["rules", "diff", str(before), str(now), str(log), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"]["rules"]["r"]["gone"] == 2
    assert cli.main(["rules", "diff", str(before), str(now), str(log)]) == 0
    said = capsys.readouterr().out
    assert "r: visitor v," in said
    assert "now     nothing" in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 8),
        (["missing.jsonl"], 8),
        (["LOG", "LOG"], 8),
        (["LOG", "--processes", "0"], 8),
        (["LOG", "--map", "colour=c"], 8),
        (["LOG", "--rules", "nowhere"], 3),
        (["LOG", "--default-type", "!"], 8),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, log: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = rules_dir(tmp_path / "rules", rule("r", TWICE))
    given = [str(log) if argument == "LOG" else argument for argument in arguments]
    assert cli.main(["rules", "backtest", *given, *([] if "--rules" in given else ["--rules", str(rules)])]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_draft_that_cannot_be_compiled_is_named(
    tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = ", ".join(["{event: search}"] * 60)
    rules = rules_dir(tmp_path / "rules", rule("r", f"{{sequence: [{steps}]}}", mode="draft"))
    assert cli.main(["rules", "backtest", str(log), "--rules", str(rules)]) == 3
    assert f"{rules}/rules.yaml:" in capsys.readouterr().err


# --- the mapping ------------------------------------------------------------------------------------------------


def test_a_mapping_file_and_fields_of_props(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(
        "columns: {visitor: user, ts: when, type: action, props.results: hits}\nrename: {look: search}\n"
    )
    log = tmp_path / "log.jsonl"
    rows = [{"user": "v", "when": T0 + at, "action": "look", "hits": hits} for at, hits in ((0, 0), (1, 7), (2, 0))]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    rules = rules_dir(tmp_path / "r", rule("r", "{count: {event: search, where: {results: 0}}, at_least: 2}"))
    mapped = ["--mapping", str(tmp_path / "map.yaml"), "--json"]
    assert cli.main(["rules", "backtest", str(log), "--rules", str(rules), *mapped]) == 0
    csv = tmp_path / "log.csv"
    csv.write_text(f"user,when,action,hits\nv,{T0},look,0\nv,{T0 + 1},look,7\nv,{T0 + 2},look,0\n")
    options = Columns(file=tmp_path / "map.yaml").options()
    for path in (log, csv):
        assert result_of(rules, path, mapping=options).tallies[0].rules["r"].alarms == 1


@pytest.mark.parametrize(
    "text", ["[]", "colour: red", "columns: [a]", "columns: {ts: 1}", "props: [x]", "a: [", "default_type: 1"]
)
def test_a_mapping_file_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(ReplayError, match=re.escape(str(path))):
        read_mapping(path)


# --- the page ---------------------------------------------------------------------------------------------------


def test_the_page_fetches_and_runs_nothing_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    rules = rules_dir(
        tmp_path / "<b>rules",
        rule("r", "{event: search}").replace("mode:", 'title: "<script>alert(1)</script>"\nmode:'),
        rule("s", "{event: search}", mode="shadow"),
    )
    rows = [line(0, "search", f"v{n}") for n in range(40)] + [line(9, "chat_opened", f"v{n}") for n in range(30)]
    written = page(report_on(rules, recording(tmp_path / "log.jsonl", *rows), against=rules))
    assert "<script" not in written
    assert "&lt;script&gt;alert(1)" in written
    assert "<b>rules" not in written
    assert not re.search(r"(src|href)=|url\(|@import|https?://", written)
    assert written.count("<svg") == 4
    assert "30 of 40 cases (75 %)" in written


def test_verdicts(tmp_path: Path) -> None:
    rules = rules_dir(tmp_path / "r", rule("r", "{event: search}"))
    few = one_rule(rules, recording(tmp_path / "f.jsonl", line(0, "search")))
    assert verdict(few)[0] == "open"
    rows = [line(0, "search", f"v{n}") for n in range(40)] + [line(9, "chat_opened", f"v{n}") for n in range(30)]
    rows += [line(0, "page_view", f"w{n}") for n in range(100)]
    good = one_rule(rules, recording(tmp_path / "g.jsonl", *rows))
    assert verdict(good)[0] == "good"
    rows = [line(0, "search", f"v{n}") for n in range(40)] + [line(9, "chat_opened", f"w{n}") for n in range(30)]
    weak = one_rule(rules, recording(tmp_path / "w.jsonl", *rows))
    assert verdict(weak)[0] == "weak"


def test_the_page_of_rules_that_saw_little(tmp_path: Path) -> None:
    """Held back every time, nothing to compare with, amounts not known, bad lines: each is said in words."""
    rules = rules_dir(
        tmp_path / "r",
        rule("held", "{event: search}").replace("Help?", "About {{ event.props.query }}"),
        rule("buy", "{event: look}", target="promotes: purchase"),
    )
    rows = [line(0, "look", f"v{n}") for n in range(40)]
    rows += [line(5, "purchase", "v1"), line(6, "purchase", "v2", total=5)]
    log = recording(tmp_path / "log.jsonl", *rows, line(0, "search", "s"), {"visitor": "x"})
    said = page(report_on(rules, log))
    assert "Every firing was held back: template field missing 1" in said
    assert "“support_chat” did not happen either" in said
    assert "The amount of 1 of them is not known" in said
    assert "were worth <b>5.00 EUR</b>, of 5.00 EUR in all" in said
    assert "line 44: no time in column `ts`" in said


def test_a_page_that_cannot_be_written(tmp_path: Path, log: Path) -> None:
    rules = rules_dir(tmp_path / "rules", rule("r", TWICE))
    nowhere = str(tmp_path / "no" / "p.html")
    assert cli.main(["rules", "backtest", str(log), "--rules", str(rules), "--html", nowhere]) == 8


def test_wilson_interval() -> None:
    """Wilson's own worked form: 10 of 40 at 95 % is 14.19 % to 40.19 %."""
    low, high = interval(10, 40)
    assert (round(low, 4), round(high, 4)) == (0.1419, 0.4019)
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0s"), (0.25, "0.25s"), (59, "59s"), (90, "1m 30s"), (3600, "1h"), (90061, "1d 1h"), (None, "-")],
)
def test_durations(value: float | None, text: str) -> None:
    assert duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1800, "30 minutes"), (60, "1 minute"), (86_400, "24 hours"), (172_800, "2 days"), (90, "1m 30s"), (45, "45s")],
)
def test_spans(value: float, text: str) -> None:
    assert span(value) == text


def test_shares_and_money() -> None:
    written = [share(value) for value in (None, 0, 0.004, 0.5, 0.996, 1)]
    assert written == ["-", "0 %", "0.4 %", "50 %", "99.6 %", "100 %"]
    assert [money(value, "EUR") for value in (None, 1.5, 1234.5)] == ["-", "1.50 EUR", "1,234 EUR"]
