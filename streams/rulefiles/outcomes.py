"""The form of outcomes.yaml: what counts, and what one of each costs or is worth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from streams.core.definition import Amount, Mark, OutcomeDefinition
from streams.rulefiles.conditions import CONDITION
from streams.rulefiles.findings import BROKEN
from streams.rulefiles.forms import Either, Fields, Form, FormKind, Key, Kind, Reader, Schema
from streams.rulefiles.matchers import FieldPath
from streams.rulefiles.values import Choice, Line, Number, Share, Word
from streams.rulefiles.yaml_tree import MapNode, Node, ScalarNode

OUTCOME_NAME = Word("name", "[a-z][a-z0-9_]{0,63}", "an outcome's name (a-z 0-9 _) such as `support_chat`")
CURRENCY = Word("currency", "[A-Z]{3}", "a currency of three capital letters such as `EUR`")
SALT = Word("text", "[!-~]{1,64}", "1 to 64 characters without spaces")


# --- money -----------------------------------------------------------------------------------------------------


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
            return fields.reader.fault(
                fields.mark, f"{title} needs `{right}`: what one is worth, such as `6.50` or `{{of: total}}`"
            )
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
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": names,
            "additionalProperties": self._form.schema(),
        }

    def parts(self) -> Iterator[Kind | Form]:
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
        Key(
            "global_holdout",
            Share(),
            "this share of visitors gets no suggestion of any rule",
            default="0%",
            example="global_holdout: 5%",
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
