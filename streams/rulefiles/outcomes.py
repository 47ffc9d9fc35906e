"""The form of outcomes.yaml: what counts, and what one of each costs or is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from streams.core.definition import Mark, OutcomeDefinition
from streams.core.outcome import ALL_COSTS
from streams.core.prices import Amount, Price
from streams.core.visitor import CREDITS_MAX
from streams.rulefiles.conditions import CONDITION
from streams.rulefiles.findings import BROKEN
from streams.rulefiles.forms import Fields, Form, FormKind, Key, Kind, Reader, Schema
from streams.rulefiles.money import MONEY, DatedAmount
from streams.rulefiles.targeting import Zone
from streams.rulefiles.values import Choice, Duration, Line, Number, Share, Word, write_duration
from streams.rulefiles.yaml_tree import MapNode, Node, ScalarNode
from streams.rulefiles.zones import Offsets, midnight

OUTCOME_NAME = Word("name", "[a-z][a-z0-9_]{0,63}", "an outcome's name (a-z 0-9 _) such as `support_chat`")
CURRENCY = Word("currency", "[A-Z]{3}", "a currency of three capital letters such as `EUR`")
ATTRIBUTION_MS_MAX = 30 * 86_400_000  # exposures are kept for so long; who is still undecided then has forgotten us
SALT = Word("text", "[!-~]{1,64}", "1 to 64 characters without spaces")


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
            return fields.reader.fault(
                fields.mark, f"{title} needs `{right}`: what one is worth, such as `6.50` or `{{of: total}}`"
            )
        amounts: tuple[DatedAmount, ...] = fields[right]
        always = amounts[0].amount if amounts[0].day is None else Amount()
        return OutcomeDefinition(
            name,
            kind,
            fields["when"],
            always,
            fields.get("label", ""),
            # A day, until the file's zone says when it begins.
            tuple(Price(amount.day, amount.amount) for amount in amounts if amount.day is not None),
            fields.get("attribution"),
            mark,
        )


class Attribution(Duration):
    """How long after an exposure an outcome is credited to it."""

    def parse(self, node: Node, reader: Reader) -> Any:
        """Whole milliseconds."""
        ms = super().parse(node, reader)
        if ms is not BROKEN and ms > ATTRIBUTION_MS_MAX:
            return reader.fault(node, f"an attribution window is at most {write_duration(ATTRIBUTION_MS_MAX)} long")
        return ms


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
        Key(
            "attribution",
            Attribution(),
            "for so long after a visitor was exposed to a rule, the outcome is credited to that; at most 30d",
            default="the setting AVERT_ATTRIBUTION_WINDOW_MS, 24h",
            example="attribution: 7d",
        ),
    ),
    _OutcomeParts,
    constraints={
        "oneOf": [
            {"properties": {"kind": {"const": "conversion"}}, "required": ["value"], "not": {"required": ["cost"]}},
            {
                "properties": {"kind": {"const": "anti_conversion"}},
                "required": ["cost"],
                "not": {"required": ["value"]},
            },
        ]
    },
)


@dataclass(slots=True)
class Declared:
    """What outcomes.yaml says. `names` has every outcome's kind by name, None where the definition is broken."""

    currency: str = ""
    outcomes: tuple[OutcomeDefinition, ...] = ()
    global_holdout: float = 0.0
    global_salt: str = "avert"
    nudge_cost: float = 0.0
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
        if len(node.items) > CREDITS_MAX:
            return reader.fault(node, f"at most {CREDITS_MAX} outcomes, got {len(node.items)}: each is kept by visitor")
        outcomes = []
        for name, value in node.items:
            word = OUTCOME_NAME.read(name, reader)
            parts = self._form.read(value, reader)
            if name.text == ALL_COSTS:
                word = reader.fault(name, f"`{ALL_COSTS}` is what reports call all anti-conversions together")
            outcomes.append(BROKEN if word is BROKEN or parts is BROKEN else parts.named(word, name.mark))
        return BROKEN if BROKEN in outcomes else tuple(outcomes)

    def schema(self) -> Schema:
        """An object."""
        names = {"pattern": f"^{OUTCOME_NAME.pattern}$"}
        return {
            "type": "object",
            "minProperties": 1,
            "maxProperties": CREDITS_MAX,
            "propertyNames": names,
            "additionalProperties": self._form.schema(),
        }

    def parts(self) -> Iterator[Kind | Form]:
        """The outcome's form."""
        yield OUTCOME


_UTC: Offsets = ((0, 0),)


def _declared(fields: Fields) -> Declared:
    _, offsets = fields.get("zone", ("UTC", _UTC))
    outcomes = tuple(
        replace(one, prices=tuple(Price(midnight(price.since, offsets), price.amount) for price in one.prices))
        for one in fields["outcomes"]
    )
    return Declared(
        fields["currency"],
        outcomes,
        fields.get("global_holdout", 0.0),
        fields.get("global_salt", "avert"),
        float(fields.get("nudge_cost", 0)),
    )


OUTCOMES_FILE = Form(
    "outcomes_file",
    "outcomes.yaml",
    "The file `outcomes.yaml`: what counts, and what one of each costs or is worth.",
    (
        Key("currency", CURRENCY, "of every amount in these files", True, example="currency: EUR"),
        Key("outcomes", Outcomes(), "the outcomes by name", True),
        Key(
            "global_holdout",
            Share(),
            "this share of visitors gets no suggestion of any rule",
            default="0%",
            example="global_holdout: 5%",
        ),
        Key("zone", Zone(), "whose days the dated costs mean", default="UTC", example="zone: Europe/Rome"),
        Key(
            "nudge_cost",
            Number(low=0),
            "what one shown suggestion costs, in the currency: it is set off against what the rules save",
            default="0",
            example="nudge_cost: 0.01",
        ),
        Key("global_salt", SALT, "draws the global holdout anew when changed", default="avert"),
    ),
    _declared,
    hints={"rule": "rules stand in files of their own", "rules": "rules stand in files of their own"},
)


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
