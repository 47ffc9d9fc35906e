"""Conditions compiled: shared leaves, keys, and what is refused with its line."""

from __future__ import annotations

import pytest

from streams.core import definition as d
from streams.core.ruleset import DefinitionErrors
from streams.core.tree import TreeCompiler
from tests.core.build import both, compiled, count, event, fires, matcher, outcome, rule, seen, sequence, step_of, where

MARK = d.Mark("rules/a.yaml", 7, 9)


def refused(*parts, **fields) -> list[tuple[str, str]]:
    """(mark, message) of every finding; the text of the error has a line each."""
    with pytest.raises(DefinitionErrors) as caught:
        compiled(*parts, **fields)
    findings = caught.value.findings
    assert str(caught.value).splitlines() == [f"{finding.mark}: {finding.message}" for finding in findings]
    return [(str(finding.mark), finding.message) for finding in findings]


def marked(operator: str, value, field: str = "props.x") -> d.FieldTest:
    return d.FieldTest(field, d.Operator(operator), value, MARK)


@pytest.mark.parametrize(
    "test",
    [
        marked("starts_with", 5),
        marked("ends_with", None),
        marked("glob", 1),
        marked("matches", 1),
        marked("matches", "(["),
        marked("gt", None),
        marked("gte", True),
        marked("lt", (1, 2)),
        marked("between", 1),
        marked("between", (1,)),
        marked("between", (1, 2, 3)),
        marked("between", (2, 1)),
        marked("between", ("a", "b")),
        marked("in", 1),
        marked("not_in", "a"),
        marked("eq", (1, 2)),
        marked("same_as", "one.props.x"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused(test):
    findings = refused(count("a", test, at_least=1))
    assert [mark for mark, _ in findings] == ["rules/a.yaml:7:9"]
    assert str(test.operator) in findings[0][1]


@pytest.mark.parametrize(
    "where_it_stands",
    [
        lambda test: event("a", test),
        lambda test: count("a", test, at_least=1),
        lambda test: sequence(step_of("a", test), "b"),
        lambda test: sequence("a", step_of("b", forbid=[matcher("c", test)])),
        lambda test: d.Missing(matcher("a", test), matcher("b"), 5),
        lambda test: d.Missing(matcher("a"), matcher("b", test), 5),
        lambda test: d.Idle(5, matcher("a", test)),
        lambda test: d.Not(both(seen("z"), seen("a", test))),
        lambda test: d.SessionTests((marked("gt", None, "events"),)),
    ],
)
def test_it_is_refused_wherever_it_stands(where_it_stands):
    assert ("rules/a.yaml:7:9", refused(where_it_stands(marked("gt", None)))[0][1]) in refused(
        where_it_stands(marked("gt", None))
    )


def test_every_finding_is_told_at_once():
    assert len(refused(count("a", marked("gt", None), at_least=1), sequence("a"), count("b", at_least=999))) == 3


@pytest.mark.parametrize("field", ["nope", "campaign.", "", "props.x"])
def test_a_session_has_no_such_field(field):
    assert "a session has no" in refused(d.SessionTests((marked("eq", 1, field),)))[0][1]


@pytest.mark.parametrize(
    "steps",
    [
        sequence(step_of("a", name="one"), step_of("b", marked("same_as", "two.props.x"))),
        sequence(step_of("a", marked("same_as", "one.props.x"), name="one"), "b"),
        sequence(step_of("a", marked("same_as", "two.props.x")), step_of("b", name="two")),
        sequence("a", step_of("b", marked("same_as", "one.props.x"))),
    ],
)
def test_same_as_needs_an_earlier_step_of_that_name(steps):
    assert "no earlier step" in refused(steps)[0][1]


def test_a_forbidden_event_can_be_compared_with_earlier_steps_only():
    forbidden = matcher("x", marked("same_as", "two.props.x"))
    assert refused(sequence(step_of("a", name="one"), step_of("b", name="two", forbid=[forbidden]))) != []


@pytest.mark.parametrize(
    ("text", "words"),
    [("{{ session.nope }}", "a session has no"), ("{{ other.x }}", "placeholder"), ("{{ event }}", "")],
)
def test_a_placeholder_that_can_find_nothing_is_refused(text, words):
    broken = rule(seen("a"), suggest=d.Content("p", (("en", text),)), mark=MARK)
    findings = refused(broken)
    assert findings[0][0] == "rules/a.yaml:7:9"
    assert words in findings[0][1]


@pytest.mark.parametrize("fields", [{"prevents": "nope"}, {"prevents": None}, {"prevents": None, "promotes": "nope"}])
def test_a_rule_names_a_declared_outcome(fields):
    assert "no declared outcome" in refused(rule(seen("a"), **fields))[0][1]


def test_an_outcome_is_checked_as_a_rule_is():
    assert refused(outcomes=[outcome(when=event("a", marked("gt", None)))]) != []


def test_rules_that_are_off_are_left_alone():
    compiled(rule(count("a", at_least=999), mode="off"), rule(count("a", at_least=999), mode="draft"))


def test_no_condition_that_the_compiler_does_not_know():
    with pytest.raises(TypeError, match="not a leaf"):
        TreeCompiler(0).compile("seen a")


# --- sharing and keys


def test_the_same_words_are_one_condition():
    ruleset = compiled(seen("a"), both(seen("a"), seen("b")), count("a", at_least=1))
    leaves = {leaf for one in ruleset.rules for leaf in one.tree.leaves}
    assert len(leaves) == 2


def test_the_key_of_a_condition_hangs_on_its_words_alone():
    one = compiled(seen("a")).rules[0].tree.leaves[0].key
    other = compiled(seen("z"), rule(both(seen("a"), event("q")), "other", priority=3)).rules[1].tree.leaves[0].key
    assert one == other


def test_keys_that_collide_move_on(monkeypatch):
    class Digest:
        def __init__(self, data: bytes, digest_size: int) -> None:
            self.data = data

        def digest(self) -> bytes:
            return self.data[-1:] * 4  # only the salt is left

    compiler = TreeCompiler(0)
    monkeypatch.setattr("streams.core.tree.blake2b", Digest)
    keys = [compiler.key("one"), compiler.key("two"), compiler.key("one")]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_names_of_placeholders_belong_to_the_sequence():
    """Two rules with the same steps: one shows a field of them and has to remember it."""
    steps = sequence(step_of("a", name="one"), "b")
    shows = rule(steps, "shows", suggest=d.Content("p", (("en", "{{ steps.one.props.q }}"),)))
    ruleset = compiled(rule(steps, "plain"), shows)
    assert ruleset.rules[0].tree.leaves[0] is not ruleset.rules[1].tree.leaves[0]


def test_a_tree_of_one_part():
    assert fires(both(seen("a")), (0, "a")) == [0]


def test_any_value_of_a_list():
    assert fires(seen("a", where("props.x", "in", (1, 2))), (0, "a", {"x": 3}), (1, "a", {"x": 2})) == [1]
