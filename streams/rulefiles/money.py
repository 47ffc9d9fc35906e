"""The forms of money: a fixed amount, one from a field, or a list of them with the days from which they apply."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from streams.core.prices import Amount
from streams.rulefiles.findings import BROKEN
from streams.rulefiles.forms import Fields, Form, FormKind, Key, Kind, Reader, Schema
from streams.rulefiles.matchers import FieldPath
from streams.rulefiles.targeting import Day
from streams.rulefiles.values import Number
from streams.rulefiles.yaml_tree import ListNode, MapNode, Node

PRICES_MAX = 32  # of one outcome: a cost that changes each quarter, for eight years


class DatedAmount(NamedTuple):
    """An amount and the day (since 1970-01-01) from which it applies; None: always."""

    day: int | None
    amount: Amount


_OF = Key("of", FieldPath(), "the field with the number", True, example="of: cart_total")
_TIMES = Key("times", Number(low=0), "multiplied by this", default="1", example="times: 0.12")


def _amount(fields: Fields) -> Amount:
    return Amount(of=fields["of"], times=float(fields.get("times", 1)))


AMOUNT = Form("amount", "an amount", "Money that depends on the event.", (_OF, _TIMES), _amount)


def _dated(fields: Fields) -> Any:
    if ("fixed" in fields) == ("of" in fields):
        return fields.reader.fault(fields.mark, "a dated amount has either `fixed` or `of`")
    if "times" in fields and "of" not in fields:
        return fields.fault("times", "`times` multiplies the number of a field: it needs `of`")
    if "fixed" in fields:
        return DatedAmount(fields.get("from"), Amount(fixed=float(fields["fixed"])))
    return DatedAmount(fields.get("from"), _amount(fields))


DATED = Form(
    "dated_amount",
    "a dated amount",
    "Money from a day on. The outcome's own time decides which of several applies, whenever it is told of.",
    (
        Key(
            "from",
            Day(),
            "the day from which it applies, in the file's `zone`; only the first of a list has none",
            example="from: 2027-01-01",
        ),
        Key("fixed", Number(low=0), "a fixed amount in the currency", example="fixed: 7.20"),
        Key(_OF.name, _OF.kind, "or the field with the number", example=_OF.example),
        _TIMES,
    ),
    _dated,
)


class FixedAmount(Number):
    """A fixed amount in the currency."""

    def __init__(self) -> None:
        super().__init__(low=0)

    def parse(self, node: Node, reader: Reader) -> Any:
        """An Amount."""
        value = super().parse(node, reader)
        return BROKEN if value is BROKEN else Amount(fixed=float(value))


class Money(Kind):
    """A number, a map, or a list of dated ones."""

    name = "number, amount, or list of dated amounts"
    expects = "an amount such as `6.50`, `{of: total}`, or a list of them with `from`"
    _fixed = FixedAmount()
    _form = FormKind(AMOUNT)
    _dated = FormKind(DATED)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of DatedAmount, ascending; the first one may have no day."""
        if not isinstance(node, ListNode):
            amount = (self._form if isinstance(node, MapNode) else self._fixed).read(node, reader)
            return BROKEN if amount is BROKEN else (DatedAmount(None, amount),)
        if not 1 <= len(node.items) <= PRICES_MAX:
            return reader.fault(node, f"expected 1 to {PRICES_MAX} dated amounts, got {len(node.items) or 'none'}")
        found = [self._item(item, reader) for item in node.items]
        if BROKEN in found:
            return BROKEN
        for item, (before, after) in zip(node.items[1:], pairwise(found), strict=True):
            if after.day is None:
                return reader.fault(item, "every amount but the first needs the day `from` which it applies")
            if before.day is not None and before.day >= after.day:
                return reader.fault(item, "the days of a list of amounts go from early to late")
        return tuple(found)

    def _item(self, node: Node, reader: Reader) -> Any:
        if isinstance(node, MapNode):
            return self._dated.read(node, reader)
        amount = self._fixed.read(node, reader)
        return BROKEN if amount is BROKEN else DatedAmount(None, amount)

    def schema(self) -> Schema:
        """Any of the three."""
        items = {"anyOf": [self._fixed.schema(), self._dated.schema()]}
        listed = {"type": "array", "items": items, "minItems": 1, "maxItems": PRICES_MAX}
        return {"anyOf": [self._fixed.schema(), self._form.schema(), listed]}

    def parts(self) -> Iterator[Kind | Form]:
        """All kinds."""
        yield from (self._fixed, self._form, self._dated)


MONEY = Money()
