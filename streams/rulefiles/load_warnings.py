"""What is allowed and probably not meant: told by `avert rules check`, refused by nobody.

1. A language that one text of a suggestion has and another lacks: its visitors would read two languages at once.
2. A placeholder for a field that no event which leads to the firing can have, as far as the rule says: its matchers
   forbid the field, or there is no such event at all, or the rule's own tests show such events and none has the field.
   A suggestion with a hole is never shown, so the rule would be silent for ever.
3. A rule without a test that shows it firing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from streams.core.definition import Content, Mark, Matcher, Operator, Program, RuleDefinition, Text, Variant
from streams.core.matcher import listens_to
from streams.core.ruleset import EngineOptions, compile_ruleset
from streams.core.suggestion import PLACEHOLDER
from streams.rulefiles.findings import Finding, quoted, suggest
from streams.rulefiles.testforms import RuleTest, TestEvent

_TEXTS = ("title", "body", "action_label")
_WRITTEN = {"title": "title", "body": "body", "action_label": "action.label"}


def warnings_of(program: Program, tests: Iterable[RuleTest], options: EngineOptions) -> list[Finding]:
    """Everything doubtful in a program that compiles, in the order of files and lines."""
    by_rule: dict[str, list[RuleTest]] = {}
    for test in tests:
        by_rule.setdefault(test.rule, []).append(test)
    found: list[Finding] = []
    awake = tuple(replace(rule, mode="live") for rule in program.rules)
    for rule in compile_ruleset(replace(program, rules=awake), options).rules:
        own = by_rule.get(rule.id, [])
        messages = [
            *_languages(rule.definition.suggest),
            *_fields(rule.definition, rule.tree.anchors, own),
            *_untested(own),
        ]
        found += [_finding(rule.definition.mark, f"{rule.id}: {message}") for message in messages]
    return sorted(found)


def _finding(mark: Mark, message: str) -> Finding:
    return Finding(mark.file, mark.line, mark.column, message)


# --- languages -----------------------------------------------------------------------------------------------------


def _languages(content: Content) -> Iterator[str]:
    offered: Sequence[Content | Variant] = content.variants or (content,)
    for one in offered:
        texts: dict[str, Text] = {name: getattr(one, name) for name in _TEXTS if getattr(one, name)}
        every = dict.fromkeys(language for text in texts.values() for language, _ in text)
        for name, text in texts.items():
            has = [language for language, _ in text]
            lacks = [language for language in every if language not in has]
            if lacks:
                where = f" of the variant {quoted(one.name)}" if isinstance(one, Variant) else ""
                others = next(_WRITTEN[other] for other, known in texts.items() if lacks[0] in dict(known))
                yield (
                    f"`{_WRITTEN[name]}`{where} is not there in {', '.join(lacks)}, and `{others}` is: "
                    f"these visitors would read it in {has[0]}"
                )


# --- fields --------------------------------------------------------------------------------------------------------


def _fields(rule: RuleDefinition, anchors: tuple[Matcher, ...], tests: list[RuleTest]) -> Iterator[str]:
    content = rule.suggest
    offered = [content, *content.variants]
    texts = [text for one in offered for name in _TEXTS for _, text in getattr(one, name)]
    wanted = dict.fromkeys(
        path.removeprefix("event.") for text in texts for path in PLACEHOLDER.findall(text)
        if path.startswith("event.") and path != "event.type"
    )  # fmt: skip
    for field in wanted:
        why = _impossible(field, anchors, tests)
        if why:
            yield f"`{{{{ event.{field} }}}}`: {why}; without it nothing is shown"


def _impossible(field: str, anchors: tuple[Matcher, ...], tests: list[RuleTest]) -> str:
    """Why no event that leads to the firing can have `field`; empty when one can, or nobody knows."""
    if not anchors:
        return "the condition fires by what does not happen, so there is no event to take it from"
    open_to_it = [anchor for anchor in anchors if not _forbids(anchor, field)]
    if not open_to_it:
        return "the conditions ask for events that do not have it"
    if any(test.field == field for anchor in open_to_it for test in anchor.where):
        return ""
    known: set[str] = set()
    for event in _events(tests, open_to_it):
        known |= {path for path, _ in event.fields}
    if not known or any(path == field or path.startswith(field + ".") for path in known):
        return ""
    return f"no event in the rule's tests has it{suggest(field, sorted(known)).split('; expected')[0]}"


def _forbids(matcher: Matcher, field: str) -> bool:
    return any(
        test.field == field and test.operator is Operator.EXISTS and test.value is False for test in matcher.where
    )


def _events(tests: list[RuleTest], matchers: list[Matcher]) -> Iterator[TestEvent]:
    for test in tests:
        for event in test.events:
            if any(listens_to(matcher, event.type) for matcher in matchers):
                yield event


# --- tests ---------------------------------------------------------------------------------------------------------


def _untested(tests: list[RuleTest]) -> Iterator[str]:
    if not any(test.expect.fires_ms or test.expect.title or test.expect.suppressed for test in tests):
        yield "no test shows it firing"
