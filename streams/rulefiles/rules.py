"""The forms of whole files: a rule with its parts, and outcomes.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from streams.core.definition import (
    Amount,
    Content,
    Limits,
    Mark,
    OutcomeDefinition,
    RuleDefinition,
    SessionField,
    Text,
)
from streams.rulefiles.conditions import CONDITION, step_names
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, Kind, ListOf, Reader, Schema
from streams.rulefiles.matchers import FIELD_EXPECTED, FIELD_HEADS, MatcherKind, full_field
from streams.rulefiles.testforms import TEST, RuleTest
from streams.rulefiles.values import Choice, Duration, Line, Link, Number, Share, Texts, Whole, Word
from streams.rulefiles.yaml_tree import MapNode, Node, ScalarNode

RULES_PER_FILE_MAX = 1000
EXPIRES_MS_DEFAULT = 600_000  # ten minutes: after that the visitor is somewhere else
PRIORITY_DEFAULT = 50  # the middle

RULE_ID = Word("name", "[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", "a name of a-z 0-9 and `-` such as `search-dead-end`")
OUTCOME_NAME = Word("name", "[a-z][a-z0-9_]{0,63}", "an outcome's name (a-z 0-9 _) such as `support_chat`")
CURRENCY = Word("currency", "[A-Z]{3}", "a currency of three capital letters such as `EUR`")
PLACEMENT = Word("name", "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", "a name without spaces such as `help-banner`")
SALT = Word("text", "[!-~]{1,64}", "1 to 64 characters without spaces")


# --- money -----------------------------------------------------------------------------------------------------


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


def _amount(fields: Fields) -> Amount:
    return Amount(of=fields["of"], times=float(fields.get("times", 1)))


AMOUNT = Form(
    "amount",
    "an amount",
    "Money that depends on the event.",
    (
        Key("of", FieldPath(), "the field with the number", True, example="of: cart_total"),
        Key("times", Number(low=0), "multiplied by this", default="1", example="times: 0.12"),
    ),
    _amount,
)


class FixedAmount(Number):
    """A fixed amount in the currency."""

    def __init__(self) -> None:
        super().__init__(low=0)

    def parse(self, node: Node, reader: Reader) -> Any:
        """An Amount."""
        value = super().parse(node, reader)
        return BROKEN if value is BROKEN else Amount(fixed=float(value))


MONEY = Either(FixedAmount(), FormKind(AMOUNT))


# --- outcomes.yaml ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OutcomeParts:
    """An outcome before it has its name."""

    fields: Fields

    def named(self, name: str, mark: Mark) -> Any:
        """The definition; BROKEN when kind and money do not fit."""
        fields, kind = self.fields, self.fields["kind"]
        right, wrong = ("value", "cost") if kind == "conversion" else ("cost", "value")
        title = "a conversion" if kind == "conversion" else "an anti-conversion"
        if wrong in fields:
            return fields.fault(wrong, f"{title} has a `{right}`, not a `{wrong}`")
        if right not in fields:
            return fields.reader.fault(fields.mark, f"{title} needs `{right}`: what one is worth, such as `6.50` or `{{of: total}}`")
        return OutcomeDefinition(name, kind, fields["when"], fields[right], fields.get("label", ""), mark)


OUTCOME_KINDS = Choice({"conversion": "wanted; has a value", "anti_conversion": "unwanted; has a cost"})

OUTCOME = Form(
    "outcome",
    "an outcome",
    "A declared result: a conversion with a value, or an anti-conversion with a cost.",
    (
        Key("kind", OUTCOME_KINDS, "wanted or unwanted", True, example="kind: anti_conversion"),
        Key("label", Line(), "its name in reports", default="the outcome's name", example="label: Support chat"),
        Key("when", CONDITION, "the condition under which it has happened", True, example="when: {event: chat_opened}"),
        Key("cost", MONEY, "of an anti-conversion: what one costs", example="cost: 6.50"),
        Key("value", MONEY, "of a conversion: what one is worth", example="value: {of: total}"),
    ),
    _OutcomeParts,
)


@dataclass(slots=True)
class Declared:
    """What outcomes.yaml says. `names` has every outcome's kind by name, None where the definition is broken."""

    currency: str = ""
    outcomes: tuple[OutcomeDefinition, ...] = ()
    global_holdout: float = 0.0
    global_salt: str = "avert"
    names: dict[str, str | None] = field(default_factory=dict)


class Outcomes(Kind):
    """A map from outcomes' names to outcomes."""

    name = "outcomes by name"
    expects = "a map from names to outcomes"
    _form = FormKind(OUTCOME)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of OutcomeDefinition."""
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        outcomes = []
        for name, value in node.items:
            word = OUTCOME_NAME.read(name, reader)
            parts = self._form.read(value, reader)
            outcomes.append(BROKEN if word is BROKEN or parts is BROKEN else parts.named(word, name.mark))
        return BROKEN if BROKEN in outcomes else tuple(outcomes)

    def schema(self) -> Schema:
        """An object."""
        names = {"pattern": f"^{OUTCOME_NAME.pattern}$"}
        return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": self._form.schema()}

    def parts(self) -> Any:
        """The outcome's form."""
        yield OUTCOME


def _declared(fields: Fields) -> Declared:
    return Declared(
        fields["currency"], fields["outcomes"], fields.get("global_holdout", 0.0), fields.get("global_salt", "avert")
    )


OUTCOMES_FILE = Form(
    "outcomes_file",
    "outcomes.yaml",
    "The file `outcomes.yaml`: what counts, and what one of each costs or is worth.",
    (
        Key("currency", CURRENCY, "of every amount in these files", True, example="currency: EUR"),
        Key("outcomes", Outcomes(), "the outcomes by name", True),
        Key("global_holdout", Share(), "this share of visitors gets no suggestion of any rule", default="0%",
            example="global_holdout: 5%"),
        Key("global_salt", SALT, "draws the global holdout anew when changed", default="avert"),
    ),
    _declared,
    hints={"rule": "rules stand in files of their own", "rules": "rules stand in files of their own"},
)  # fmt: skip


def declared_names(node: Node) -> dict[str, str | None]:
    """Every outcome that a document names, whether or not its definition can be used, with its kind if known."""
    outcomes = node.get("outcomes") if isinstance(node, MapNode) else None
    if not isinstance(outcomes, MapNode):
        return {}
    kinds: dict[str, str | None] = {}
    for name, value in outcomes.items:
        kind = value.get("kind") if isinstance(value, MapNode) else None
        text = kind.text if isinstance(kind, ScalarNode) else None
        kinds[name.text] = text if text in OUTCOME_KINDS.words else None
    return kinds


# --- what is suggested -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Action:
    label: Text
    href: str


def _action(fields: Fields) -> _Action:
    return _Action(fields["label"], fields["href"])


ACTION = Form(
    "action",
    "an action",
    "The button of a suggestion.",
    (
        Key("label", Texts(), "its text", True, example="label: {en: Track my order}"),
        Key("href", Link(), "where it leads: a path on this site, or `https://` on an allowed host", True,
            example="href: /orders/track"),
    ),
    _action,
)  # fmt: skip


def _content(fields: Fields) -> Content:
    action: _Action | None = fields.get("action")
    return Content(
        placement=fields["placement"],
        title=fields["title"],
        body=fields.get("body", ()),
        action_label=action.label if action else (),
        action_href=action.href if action else None,
        expires_ms=fields.get("expires", EXPIRES_MS_DEFAULT),
        withdraw=fields.get("withdraw"),
    )


SUGGEST = Form(
    "suggest",
    "a suggestion",
    "What the visitor is offered.",
    (
        Key("placement", PLACEMENT, "where on the page; of several suggestions for one place the highest priority wins",
            True, example="placement: help-banner"),
        Key("title", Texts(), "the headline", True, example='title: {en: "Can\'t find it?", it: "Non lo trovi?"}'),
        Key("body", Texts(), "a sentence or two", example="body: {en: We can look it up for you.}"),
        Key("action", FormKind(ACTION), "a button", example="action: {label: {en: Track my order}, href: /orders/track}"),
        Key("expires", Duration(), "how long it may be shown", default="10m", example="expires: 10m"),
        Key("withdraw", MatcherKind(), "take it back when such an event comes", example="withdraw: {event: order_tracked}"),
    ),
    _content,
    planned=("variants",),
)  # fmt: skip


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
        Key("count", Whole(1, 1000), "so often", True, example="count: 2"),
        Key("within", Duration(), "in so long", default="ever", example="within: 7d"),
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
        Key("per_visitor", Either(_CountAlone(1, 1000), FormKind(PER_VISITOR)), "so often over all sessions",
            default="unlimited", example="per_visitor: {count: 2, within: 7d}"),
        Key("cooldown", Duration(), "not again before so long has passed", default="none", example="cooldown: 1d"),
        Key("after_dismissal", Choice({"stop": "never again", "continue": "as the other limits allow"}),
            "what follows when the visitor waved it away", default="stop", example="after_dismissal: stop"),
    ),
    _limits,
)  # fmt: skip


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
        Key("holdout", Share(), "this share of visitors is only counted and sees nothing", True, example="holdout: 10%"),
        Key("salt", SALT, "rules with one salt share their groups", default="the rule's name", example="salt: help-2026"),
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
        return fields.fault("promotes" if named else "rule", f"a rule names either what it `prevents` or what it `promotes`; this one {said}")
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
        restart_on_edit=fields.get("on_edit", "keep") == "restart",
        mark=fields.value_mark("rule"),
    )
    return ReadRule(definition, fields.get("tests", ()), fields.value_mark(named[0]))


_PLACEHOLDER_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)+\Z")


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
        Key("title", Line(), "what it is about, for people", example="title: Two searches without a result end in the chat"),
        Key("owner", Line(), "the team that answers for it", example="owner: self-service"),
        Key("prevents", OUTCOME_NAME, "the anti-conversion that it shall prevent", example="prevents: support_chat"),
        Key("promotes", OUTCOME_NAME, "or the conversion that it shall promote", example="promotes: purchase"),
        Key("mode", Choice({
            "draft": "checked and tested only", "shadow": "decides and is counted, nobody sees it",
            "live": "at work", "off": "resting"}),
            "`draft`: checked and tested only; `shadow`: decides and is counted, nobody sees it; `live`: at work; `off`: resting",
            default="live", example="mode: shadow"),
        Key("when", CONDITION, "the condition; the rule fires when it begins to hold", True),
        Key("suggest", FormKind(SUGGEST), "what the visitor is offered", True),
        Key("limits", FormKind(LIMITS), "how often one visitor may get it", default="once a session"),
        Key("priority", Whole(0, 100), "which suggestion wins a placement; higher wins", default="50", example="priority: 60"),
        Key("experiment", FormKind(EXPERIMENT), "the control group", default="none", example="experiment: {holdout: 10%}"),
        Key("on_edit", Choice({"keep": "go on", "restart": "forget"}),
            "`keep`: what has been counted stays when the rule is edited; `restart`: it starts anew",
            default="keep", example="on_edit: restart"),
        Key("tests", ListOf(FormKind(TEST), what="tests"), "examples that show what it does, run by `avert rules test`"),
    ),
    _rule,
    planned=("schedule", "audience", "variants", "funnel", "funnels"),
    hints={"outcomes": "outcomes stand in the file outcomes.yaml", "name": "write `rule: NAME`", "id": "write `rule: NAME`",
           "description": "write a comment (`# ...`), or `title:`"},
)  # fmt: skip


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
