"""What the files mean: YAML in, definitions out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.core.definition import (
    All,
    Amount,
    AnyOf,
    Condition,
    Count,
    EventAtHand,
    FieldTest,
    Idle,
    Limits,
    Matcher,
    Missing,
    Not,
    Operator,
    Price,
    Program,
    RuleDefinition,
    Sequence,
    SessionTests,
    Step,
)
from streams.rulefiles.load import load_program, load_rules
from tests.rulefiles.broken_cases import OPTIONS, write_files

SEARCH = Matcher(("search",))


def program_of(directory: Path, **texts: str) -> Program:
    return load_program(write_files(directory, **texts), OPTIONS)[0]


def rule_of(directory: Path, text: str) -> RuleDefinition:
    (rule,) = program_of(directory, a=text).rules
    return rule


def with_when(when: str) -> str:
    lines = "".join(f"  {line}\n" for line in when.splitlines())
    return f"rule: r\nprevents: support_chat\nwhen:\n{lines}suggest: {{placement: p, title: Hello}}\n"


CONDITIONS: dict[str, Condition] = {
    "event: search": EventAtHand(SEARCH),
    "event: [search, 'help_*']": EventAtHand(Matcher(("search", "help_*"))),
    "all: [{event: search}]": All((EventAtHand(SEARCH),)),
    "any: [{event: search}]": AnyOf((EventAtHand(SEARCH),)),
    "not: {event: search}": Not(EventAtHand(SEARCH)),
    "count: {event: search}\nat_least: 2\nwithin: 5m": Count(SEARCH, 2, None, 300_000),
    "count: {event: search}\nat_most: 2": Count(SEARCH, None, 2),
    "count: {event: search}\nexactly: 2": Count(SEARCH, 2, 2),
    "count: {event: search}\nexactly: 0": Count(SEARCH, None, 0),
    "seen: {event: search}": Count(SEARCH, at_least=1),
    "never: {event: search}\nwithin: 1h30m": Count(SEARCH, at_most=0, within_ms=5_400_000),
    "missing: {event: purchase}\nafter: {event: search}\nfor: 8m": Missing(Matcher(("purchase",)), SEARCH, 480_000),
    "missing: {event: purchase}\nafter: {event: search}\nfor: session": Missing(Matcher(("purchase",)), SEARCH, None),
    "idle: 90s": Idle(90_000),
    "idle: 90s\nafter: {event: search}": Idle(90_000, SEARCH),
    "session: {duration: {gte: 2m}, returning: true}": SessionTests(
        (FieldTest("duration", Operator.GTE, 120_000), FieldTest("returning", Operator.EQ, True))
    ),
    "session: {campaign.source: mail, country: [DE, AT]}": SessionTests(
        (FieldTest("campaign.source", Operator.EQ, "mail"), FieldTest("country", Operator.IN, ("DE", "AT")))
    ),
    "sequence: [{event: search}, {event: chat_opened}]\nwithin: 2m\ncontiguity: strict": Sequence(
        (Step(SEARCH), Step(Matcher(("chat_opened",)))), 120_000, "strict"
    ),
    "sequence:\n  - {event: search, as: a}\n  - not: {event: purchase}\n  - not: {event: cancel}\n"
    "  - {event: search, where: {query: {same_as: a.query}}, within: 30s}": Sequence(
        (
            Step(SEARCH, "a"),
            Step(
                Matcher(("search",), (FieldTest("props.query", Operator.SAME_AS, "a.props.query"),)),
                None,
                30_000,
                (Matcher(("purchase",)), Matcher(("cancel",))),
            ),
        )
    ),
}


@pytest.mark.parametrize("when", CONDITIONS, ids=lambda when: when.replace("\n", " "))
def test_condition(tmp_path: Path, when: str) -> None:
    assert rule_of(tmp_path, with_when(when)).when == CONDITIONS[when]


FIELD_TESTS = {
    "results: 0": ("props.results", Operator.EQ, 0),
    "results: '0'": ("props.results", Operator.EQ, "0"),
    "total: 1.50": ("props.total", Operator.EQ, 1.5),
    "paid: false": ("props.paid", Operator.EQ, False),
    "answer: no": ("props.answer", Operator.EQ, "no"),
    "switch: on": ("props.switch", Operator.EQ, "on"),
    "coupon: null": ("props.coupon", Operator.EQ, None),
    "day: 2026-01-05": ("props.day", Operator.EQ, "2026-01-05"),
    "time: 12:30": ("props.time", Operator.EQ, "12:30"),
    "sku: 0x1F": ("props.sku", Operator.EQ, 31),
    "code: 0123": ("props.code", Operator.EQ, 123),
    "query: '*refund*'": ("props.query", Operator.GLOB, "*refund*"),
    "page.path: /help": ("page.path", Operator.EQ, "/help"),
    "props.results: 0": ("props.results", Operator.EQ, 0),
    "context.device: mobile": ("context.device", Operator.EQ, "mobile"),
    "type: search": ("type", Operator.EQ, "search"),
    "page: 2": ("props.page", Operator.EQ, 2),
    "address.city: Bari": ("props.address.city", Operator.EQ, "Bari"),
    "topic: [a, 'b*', 3]": ("props.topic", Operator.IN, ("a", "b*", 3)),
    "q: {ne: a}": ("props.q", Operator.NE, "a"),
    "q: {in: [a]}": ("props.q", Operator.IN, ("a",)),
    "q: {not_in: [a, b]}": ("props.q", Operator.NOT_IN, ("a", "b")),
    "q: {gt: 1}": ("props.q", Operator.GT, 1),
    "q: {gte: 1.5}": ("props.q", Operator.GTE, 1.5),
    "q: {lt: -1}": ("props.q", Operator.LT, -1),
    "q: {lte: 1e3}": ("props.q", Operator.LTE, 1000.0),
    "q: {between: [1, 2]}": ("props.q", Operator.BETWEEN, (1, 2)),
    "q: {contains: re}": ("props.q", Operator.CONTAINS, "re"),
    "q: {starts_with: 12}": ("props.q", Operator.STARTS_WITH, "12"),
    "q: {ends_with: .pdf}": ("props.q", Operator.ENDS_WITH, ".pdf"),
    "q: {glob: a*}": ("props.q", Operator.GLOB, "a*"),
    "q: {matches: '^a|b$'}": ("props.q", Operator.MATCHES, "^a|b$"),
    "q: {exists: false}": ("props.q", Operator.EXISTS, False),
    "q: {changed: true}": ("props.q", Operator.CHANGED, True),
}


@pytest.mark.parametrize("where", FIELD_TESTS)
def test_field_test(tmp_path: Path, where: str) -> None:
    field, operator, value = FIELD_TESTS[where]
    when = rule_of(tmp_path, with_when(f"event: search\nwhere:\n  {where}")).when
    assert isinstance(when, EventAtHand)
    (test,) = when.matcher.where
    assert (test.field, test.operator, test.value) == (field, operator, value)
    assert type(test.value) is type(value)


def test_several_operators_are_several_tests(tmp_path: Path) -> None:
    when = rule_of(tmp_path, with_when("event: purchase\nwhere: {total: {gte: 10, lt: 50, ne: 20}}")).when
    assert isinstance(when, EventAtHand)
    assert [test.operator for test in when.matcher.where] == [Operator.GTE, Operator.LT, Operator.NE]


WHOLE_RULE = """\
rule: whole
title: Everything that a rule can say
owner: some team
promotes: purchase
mode: shadow
when: {event: search}
suggest:
  placement: help-banner
  title: {it: Ciao, en: Hello}
  body: "For {{ event.props.query }} on {{session.entry_path}}"
  action: {label: Go, href: "https://help.shop.example/x"}
  expires: 90s
  withdraw: {event: order_tracked}
limits: {per_session: 2, per_visitor: {count: 3, within: 7d}, cooldown: 1d, after_dismissal: continue}
priority: 60
experiment: {holdout: 12.5%, salt: s}
"""


def test_a_whole_rule(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, WHOLE_RULE)
    assert (rule.id, rule.title, rule.owner) == ("whole", "Everything that a rule can say", "some team")
    assert (rule.prevents, rule.promotes, rule.mode, rule.priority) == (None, "purchase", "shadow", 60)
    assert (rule.holdout, rule.salt) == (0.125, "s")
    assert rule.limits == Limits(2, 3, 7 * 86_400_000, 86_400_000, stop_after_dismissal=False)
    content = rule.suggest
    assert content.placement == "help-banner"
    assert content.title == (("it", "Ciao"), ("en", "Hello"))
    assert content.body == (("en", "For {{ event.props.query }} on {{session.entry_path}}"),)
    assert (content.action_label, content.action_href) == ((("en", "Go"),), "https://help.shop.example/x")
    assert (content.expires_ms, content.withdraw) == (90_000, Matcher(("order_tracked",)))


def test_what_a_rule_leaves_out_has_the_model_s_defaults(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, with_when("event: search"))
    plain = RuleDefinition("r", rule.when, rule.suggest, prevents="support_chat")
    assert rule == plain
    assert rule.suggest == type(rule.suggest)("p", (("en", "Hello"),))


def test_limits_in_their_short_forms(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, with_when("event: search") + "limits: {per_session: unlimited, per_visitor: 5}\n")
    assert rule.limits == Limits(per_session=None, per_visitor=5)


def test_outcomes(tmp_path: Path) -> None:
    outcomes = """\
currency: CHF
global_holdout: 5%
global_salt: all
outcomes:
  chat: {kind: anti_conversion, label: Chat, when: {event: chat_opened}, cost: 6.50}
  buy: {kind: conversion, when: {event: purchase}, value: {of: total, times: 0.5}}
"""
    program = program_of(tmp_path, outcomes=outcomes)
    assert (program.currency, program.global_holdout, program.global_salt) == ("CHF", 0.05, "all")
    chat, buy = program.outcomes
    assert (chat.name, chat.kind, chat.label, chat.amount) == ("chat", "anti_conversion", "Chat", Amount(fixed=6.5))
    assert (buy.name, buy.kind, buy.amount) == ("buy", "conversion", Amount(of="props.total", times=0.5))


def test_dated_costs_in_the_files_zone_with_a_window_and_a_nudge_cost(tmp_path: Path) -> None:
    outcomes = """\
currency: EUR
zone: Europe/Rome
nudge_cost: 0.02
outcomes:
  chat:
    kind: anti_conversion
    when: {event: chat_opened}
    attribution: 7d
    cost: [6.50, {from: 2027-01-01, fixed: 7}, {from: 2027-07-01, of: minutes, times: 0.5}]
  buy: {kind: conversion, when: {event: purchase}, value: [{from: 2027-01-01, of: total}]}
"""
    program = program_of(tmp_path, outcomes=outcomes)
    chat, buy = program.outcomes
    assert (program.nudge_cost, chat.attribution_ms, buy.attribution_ms) == (0.02, 7 * 86_400_000, None)
    assert chat.amount == Amount(6.5)
    assert chat.prices == (
        Price(round(datetime(2026, 12, 31, 23, tzinfo=UTC).timestamp() * 1000), Amount(7.0)),
        Price(round(datetime(2027, 6, 30, 22, tzinfo=UTC).timestamp() * 1000), Amount(of="props.minutes", times=0.5)),
    )
    assert buy.amount == Amount()  # worth nothing that is known, before its first day


def test_several_rules_in_a_list_and_in_documents(tmp_path: Path) -> None:
    one = "rule: {name}, prevents: support_chat, when: {{event: search}}, suggest: {{placement: p, title: T}}"
    items = "".join(f"  - {{{one.format(name=name)}}}\n" for name in "ab")
    documents = "---\n".join(f"{{{one.format(name=name)}}}\n" for name in "cd")
    program = program_of(tmp_path, list=f"rules:\n{items}", documents=documents)
    assert [rule.id for rule in program.rules] == ["c", "d", "a", "b"]  # by the files' names


def test_files_are_found_in_folders_and_hidden_ones_are_not(tmp_path: Path) -> None:
    write_files(tmp_path)
    for place in ("team/a.yaml", "team/b.yml", ".git/c.yaml", ".d.yaml", "team/notes.txt"):
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(with_when("event: search").replace("rule: r", f"rule: {path.stem.strip('.')}"))
    assert [rule.id for rule in load_program(tmp_path, OPTIONS)[0].rules] == ["a", "b"]


def test_comments_and_empty_documents_are_nothing(tmp_path: Path) -> None:
    program = program_of(tmp_path, a="# only a comment\n", b="", c="---\n---\n" + with_when("event: search"))
    assert [rule.id for rule in program.rules] == ["r"]


def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufeff" + with_when("event: search").replace("\n", "\r\n")
    assert rule_of(tmp_path, text).id == "r"


def test_every_definition_knows_its_line(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, "# a comment\n" + with_when("all:\n  - {event: search}\n  - {never: {event: purchase}}"))
    assert str(rule.mark).endswith("a.yaml:2:7")
    assert isinstance(rule.when, All)
    assert [(part.mark.line, part.mark.column) for part in rule.when.parts] == [(6, 7), (7, 7)]


def test_where_it_stands_does_not_change_a_rule(tmp_path: Path) -> None:
    text = with_when("seen: {event: search}\nwithin: 5m")
    first = rule_of(tmp_path, text)
    block = text.replace("{placement: p, title: Hello}", "\n  placement: p\n  title: Hello")
    again = rule_of(tmp_path, "# moved\n\n" + block)
    assert first == again


def test_the_ruleset_has_the_active_rules_only(tmp_path: Path) -> None:
    texts = {
        mode: with_when("event: search").replace("rule: r", f"rule: {mode}") + f"mode: '{mode}'\n"
        for mode in ("draft", "shadow", "live", "off")
    }
    ruleset = load_rules(write_files(tmp_path, **texts), OPTIONS)
    assert sorted(rule.id for rule in ruleset.rules) == ["live", "shadow"]
    assert len(ruleset.program.rules) == 4


def test_loading_twice_gives_the_same_version(tmp_path: Path) -> None:
    write_files(tmp_path, a=WHOLE_RULE)
    assert load_rules(tmp_path, OPTIONS).version == load_rules(tmp_path, OPTIONS).version
