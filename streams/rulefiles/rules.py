"""The form of a rule with all its parts, and of a file with several."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from streams.core.definition import Limits, Mark, RuleDefinition, SessionField
from streams.core.outcome import PROGRAMME
from streams.rulefiles.conditions import CONDITION, step_names
from streams.rulefiles.fields import FIELD_HEADS
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, ListOf, Reader, Schema
from streams.rulefiles.outcomes import OUTCOME_NAME, SALT
from streams.rulefiles.suggestions import SUGGEST
from streams.rulefiles.targeting import AUDIENCE, ON_EDIT, SCHEDULE
from streams.rulefiles.testforms import TEST, RuleTest
from streams.rulefiles.values import Choice, Duration, Line, Share, Whole, Word
from streams.rulefiles.yaml_tree import Node

RULES_PER_FILE_MAX = 1000
PRIORITY_DEFAULT = 50  # the middle

RULE_ID = Word("name", "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", "a name of a-z 0-9 and `-` such as `search-dead-end`")


# --- limits and experiment -------------------------------------------------------------------------------------


class PerSession(Whole):
    """A number, or the word ``unlimited``."""

    def __init__(self) -> None:
        super().__init__(1, 100)
        self.name = "number or `unlimited`"
        self.expects += ", or `unlimited`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """An int, or None for no limit."""
        return None if getattr(node, "text", None) == "unlimited" else super().parse(node, reader)

    def schema(self) -> Schema:
        """An integer or the word."""
        return {"anyOf": [super().schema(), {"const": "unlimited"}]}


@dataclass(frozen=True, slots=True)
class _PerVisitor:
    count: int
    within_ms: int | None = None


class _CountAlone(Whole):
    def parse(self, node: Node, reader: Reader) -> Any:
        value = super().parse(node, reader)
        return BROKEN if value is BROKEN else _PerVisitor(value)


def _per_visitor(fields: Fields) -> _PerVisitor:
    return _PerVisitor(fields["count"], fields.get("within"))


PER_VISITOR = Form(
    "per_visitor",
    "`per_visitor`",
    "How often one visitor may get it, over all sessions.",
    (
        Key("count", Whole(1, 1000), "how many times", True, example="count: 2"),
        Key("within", Duration(), "in how long a time", default="ever", example="within: 7d"),
    ),
    _per_visitor,
)


def _limits(fields: Fields) -> Limits:
    per_visitor: _PerVisitor | None = fields.get("per_visitor")
    return Limits(
        per_session=fields.get("per_session", 1),
        per_visitor=per_visitor.count if per_visitor else None,
        per_visitor_within_ms=per_visitor.within_ms if per_visitor else None,
        cooldown_ms=fields.get("cooldown"),
        stop_after_dismissal=fields.get("after_dismissal", "stop") == "stop",
    )


LIMITS = Form(
    "limits",
    "`limits`",
    "How often one visitor may get it.",
    (
        Key("per_session", PerSession(), "so often in one session", default="1", example="per_session: 1"),
        Key(
            "per_visitor",
            Either(_CountAlone(1, 1000), FormKind(PER_VISITOR)),
            "so often over all sessions",
            default="unlimited",
            example="per_visitor: {count: 2, within: 7d}",
        ),
        Key("cooldown", Duration(), "not again before so long has passed", default="none", example="cooldown: 1d"),
        Key(
            "after_dismissal",
            Choice({"stop": "never again", "continue": "as the other limits allow"}),
            "what follows when the visitor waved it away",
            default="stop",
            example="after_dismissal: stop",
        ),
    ),
    _limits,
)


@dataclass(frozen=True, slots=True)
class _Experiment:
    holdout: float
    salt: str | None


def _experiment(fields: Fields) -> _Experiment:
    return _Experiment(fields["holdout"], fields.get("salt"))


EXPERIMENT = Form(
    "experiment",
    "`experiment`",
    "The control group that proves what the rule is worth.",
    (
        Key(
            "holdout", Share(), "this share of visitors is only counted and sees nothing", True, example="holdout: 10%"
        ),
        Key(
            "salt", SALT, "rules with one salt share their groups", default="the rule's name", example="salt: help-2026"
        ),
    ),
    _experiment,
)


# --- rules -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadRule:
    """A rule with its tests, and where it names its outcome."""

    definition: RuleDefinition
    tests: tuple[RuleTest, ...]
    outcome_mark: Mark


def _rule(fields: Fields) -> Any:
    reader = fields.reader
    named = [key for key in ("prevents", "promotes") if key in fields]
    if len(named) != 1:
        said = "has both" if named else "has neither"
        return fields.fault(
            "promotes" if named else "rule",
            f"a rule names either what it `prevents` or what it `promotes`; this one {said}",
        )
    if fields["rule"] == PROGRAMME:
        return fields.fault("rule", f"`{PROGRAMME}` is what reports call all rules together: choose another name")
    if not _check_placeholders(reader, step_names(fields["when"])):
        return BROKEN
    experiment: _Experiment | None = fields.get("experiment")
    definition = RuleDefinition(
        id=fields["rule"],
        when=fields["when"],
        suggest=fields["suggest"],
        prevents=fields.get("prevents"),
        promotes=fields.get("promotes"),
        title=fields.get("title", ""),
        owner=fields.get("owner", ""),
        mode=fields.get("mode", "live"),
        limits=fields.get("limits", Limits()),
        priority=fields.get("priority", PRIORITY_DEFAULT),
        holdout=experiment.holdout if experiment else 0.0,
        salt=experiment.salt if experiment else None,
        restart_on_edit=fields.get("on_edit") == "restart",
        schedule=fields.get("schedule"),
        audience=fields.get("audience"),
        mark=fields.value_mark("rule"),
    )
    return ReadRule(definition, fields.get("tests", ()), fields.value_mark(named[0]))


_PLACEHOLDER_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+\Z", re.ASCII)


def _check_placeholders(reader: Reader, steps: set[str]) -> bool:
    whole = True
    for mark, text in reader.placeholders:
        message = _placeholder_fault(text, steps)
        if message:
            reader.fault(mark, f"placeholder {quoted(text)}: {message}")
            whole = False
    return whole


def _placeholder_fault(text: str, steps: set[str]) -> str | None:
    """What is wrong with one placeholder, or None."""
    head, _, rest = text.partition(".")
    if not _PLACEHOLDER_PATH.match(text) or head not in ("event", "session", "steps"):
        return "expected `event.FIELD`, `session.FIELD` or `steps.NAME.FIELD`"
    if head == "session":
        known = [field.value for field in SessionField]
        if rest in known or rest.startswith("campaign."):
            return None
        return "the session has no such field" + suggest(rest, [*known, "campaign.NAME"])
    prefix = "event."
    if head == "steps":
        name, _, rest = rest.partition(".")
        if name not in steps:
            named = suggest(name, sorted(steps)) if steps else "; name one with `as: NAME`"
            return f"no step is named {quoted(name)}{named}"
        prefix = f"steps.{name}."
    if rest == "type" or (rest.partition(".")[0] in FIELD_HEADS and "." in rest):
        return None
    return f"did you mean `{prefix}props.{rest}`?" if rest else f"expected a field, such as `{prefix}props.NAME`"


RULE = Form(
    "rule",
    "a rule",
    "When a visitor seems headed for an anti-conversion, suggest something.",
    (
        Key("rule", RULE_ID, "the rule's name, unique in all files", True, example="rule: search-dead-end"),
        Key(
            "title",
            Line(),
            "what it is about, for people",
            example="title: Two searches without a result end in the chat",
        ),
        Key("owner", Line(), "the team that answers for it", example="owner: self-service"),
        Key("prevents", OUTCOME_NAME, "the anti-conversion that it shall prevent", example="prevents: support_chat"),
        Key("promotes", OUTCOME_NAME, "or the conversion that it shall promote", example="promotes: purchase"),
        Key(
            "mode",
            Choice(
                {
                    "draft": "checked and tested only",
                    "shadow": "decides and is counted, nobody sees it",
                    "live": "at work",
                    "off": "resting",
                }
            ),
            "how far it has come",
            default="live",
            example="mode: shadow",
        ),
        Key("when", CONDITION, "the condition; the rule fires when it begins to hold", True),
        Key("suggest", FormKind(SUGGEST), "what the visitor is offered", True),
        Key("limits", FormKind(LIMITS), "how often one visitor may get it", default="once a session"),
        Key(
            "priority",
            Whole(0, 100),
            "which suggestion wins a placement; higher wins",
            default="50",
            example="priority: 60",
        ),
        Key(
            "experiment",
            FormKind(EXPERIMENT),
            "the control group",
            default="none",
            example="experiment: {holdout: 10%}",
        ),
        Key(
            "schedule",
            FormKind(SCHEDULE),
            "when it may suggest",
            default="always",
            example="schedule: {zone: Europe/Rome, days: mon-fri, hours: 09:00-18:00}",
        ),
        Key("audience", FormKind(AUDIENCE), "whom it is for", default="everybody", example="audience: {visitors: 20%}"),
        Key(
            "on_edit",
            ON_EDIT,
            "what becomes of what visitors have done when the rule is edited",
            default="keep",
            example="on_edit: restart",
        ),
        Key(
            "tests", ListOf(FormKind(TEST), what="tests"), "examples that show what it does, run by `avert rules test`"
        ),
    ),
    _rule,
    constraints={"oneOf": [{"required": ["prevents"]}, {"required": ["promotes"]}]},
    planned=("funnel", "funnels"),
    hints={
        "outcomes": "outcomes stand in the file outcomes.yaml",
        "name": "write `rule: NAME`",
        "id": "write `rule: NAME`",
        "variants": "they stand in `suggest`",
        "description": "write a comment (`# ...`), or `title:`",
    },
)


class RuleKind(FormKind):
    """A rule: placeholders and tests belong to one rule only."""

    def __init__(self) -> None:
        super().__init__(RULE)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A ReadRule."""
        reader.placeholders = []
        return super().parse(node, reader)


def _rules(fields: Fields) -> Any:
    return fields["rules"]


RULES_FILE = Form(
    "rules_file",
    "a file of rules",
    "Several rules in one file.",
    (Key("rules", ListOf(RuleKind(), at_most=RULES_PER_FILE_MAX, what="rules"), "the rules", True),),
    _rules,
)
