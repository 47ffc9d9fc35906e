"""``{event: NAME, where: {FIELD: TEST}}`` -> Matcher."""

from __future__ import annotations

import re
from typing import Any

from streams.core.definition import Mark, Matcher, Operator
from streams.core.matcher import step_value
from streams.rulefiles.fields import FIELD_EXPECTED, Where, full_field
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Fields, Form, FormKind, Key, Kind, ListOf, Reader, Schema
from streams.rulefiles.values import Word
from streams.rulefiles.yaml_tree import ListNode, Node, ScalarNode

EVENT_TYPE = Word("event type", "[a-z0-9_.]{1,64}", "an event type (a-z 0-9 _ .) such as `page_view`")
_TYPE_OR_GLOB = Word("event type", "[a-z0-9_.*]{1,64}", "an event type (a-z 0-9 _ .) or a pattern such as `help_*`")


class EventNames(Kind):
    """``NAME``, a glob, or a list of them."""

    name = "event type, pattern or list"
    expects = _TYPE_OR_GLOB.expects
    _list = ListOf(_TYPE_OR_GLOB, at_most=50, what="event types")

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of names."""
        if isinstance(node, ListNode):
            return self._list.read(node, reader)
        name = _TYPE_OR_GLOB.read(node, reader)
        return BROKEN if name is BROKEN else (name,)

    def schema(self) -> Schema:
        """A string or an array."""
        return {"anyOf": [_TYPE_OR_GLOB.schema(), self._list.schema()]}


def build_matcher(fields: Fields) -> Matcher:
    """A Matcher of ``event`` and ``where``."""
    return Matcher(fields["event"], fields.get("where", ()), fields.mark)


EVENT_KEY = Key(
    "event", EventNames(), "which events: a type, a pattern with `*`, or a list", True, example="event: search"
)
WHERE_KEY = Key("where", Where(), "tests on the event's fields, all of which must pass", example="where: {results: 0}")

MATCHER = Form(
    "matcher",
    "a matcher",
    "Which events are meant.",
    (EVENT_KEY, WHERE_KEY),
    build_matcher,
)


class MatcherKind(FormKind):
    """A matcher; a bare word is refused with the way to write it."""

    def __init__(self) -> None:
        super().__init__(MATCHER)
        self.expects = "a matcher such as `{event: purchase}`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A Matcher."""
        if isinstance(node, ScalarNode) and re.fullmatch(r"[a-z0-9_.]{1,64}", node.text):
            return reader.fault(node, f"expected a matcher: write `{{event: {node.text}}}`")
        return super().parse(node, reader)


def refuse_same_as(matchers: tuple[Matcher, ...], reader: Reader) -> bool:
    """Report every comparison with a step in matchers that are no part of a sequence. True when there was none."""
    found = [test for matcher in matchers for test in matcher.where if step_value(test) is not None]
    for test in found:
        word = "same_as" if test.operator is Operator.SAME_AS else "step"
        reader.fault(test.mark, f"`{word}` compares with an earlier step, and this is no step of a sequence")
    return not found


def check_same_as(matcher: Matcher, earlier: tuple[str, ...], reader: Reader) -> bool:
    """Report comparisons that name no earlier step. True when all is well."""
    whole = True
    for test in matcher.where:
        value = step_value(test)
        if value is not None:
            whole = _names_earlier(value.step, earlier, test.mark, reader) and whole
    return whole


def _names_earlier(step: str, earlier: tuple[str, ...], mark: Mark, reader: Reader) -> bool:
    if step in earlier:
        return True
    hint = suggest(step, earlier) if earlier else "; name one with `as: NAME`"
    reader.fault(mark, f"no earlier step of this sequence is named {quoted(step)}{hint}")
    return False


class FieldPath(Kind):
    """A field of an event, written out."""

    name = "field"
    expects = FIELD_EXPECTED

    def parse(self, node: Node, reader: Reader) -> Any:
        """The full path."""
        path = full_field(node.text) if isinstance(node, ScalarNode) else None
        return path or self.wrong(node, reader)

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "examples": ["total", "props.total"]}
