"""When a rule may suggest, and to whom: `schedule`, `audience`, `on_edit`."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from streams.core.definition import Audience
from streams.core.schedule import Schedule
from streams.rulefiles.fields import Where
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Fields, Form, Key, Kind, ListOf, Reader, Schema
from streams.rulefiles.values import Choice, Share
from streams.rulefiles.yaml_tree import ListNode, Node, ScalarNode
from streams.rulefiles.zones import zone_names, zone_offsets

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_EPOCH = date(1970, 1, 1)


class Zone(Kind):
    """A time zone's name."""

    name = "time zone"
    expects = "a time zone such as `Europe/Rome`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """(name, offsets)."""
        if not isinstance(node, ScalarNode) or not re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", node.text):
            return self.wrong(node, reader)
        offsets = zone_offsets(node.text)
        if offsets is None:
            near = suggest(node.text, zone_names())
            hint = near if near.startswith("; did") else ""
            return reader.fault(node, f"there is no time zone {quoted(node.text)}{hint}")
        return node.text, offsets

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "examples": ["Europe/Rome", "UTC"]}


class _OneOrMore(Kind):
    """One text, or a list of such."""

    def __init__(self, item: Kind) -> None:
        self.item = item
        self.name = f"{item.name}, or a list"
        self.expects = item.expects
        self._list = ListOf(item, at_most=20)

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of what the item kind reads."""
        if isinstance(node, ListNode):
            return self._list.read(node, reader)
        one = self.item.read(node, reader)
        return BROKEN if one is BROKEN else (one,)

    def schema(self) -> Schema:
        """Either."""
        return {"anyOf": [self.item.schema(), self._list.schema()]}


class Days(Kind):
    """A day, or a range of days."""

    name = "day or range of days"
    expects = "a day such as `sat`, or a range such as `mon-fri`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The days' numbers; a range may go past the week's end."""
        text = node.text.lower() if isinstance(node, ScalarNode) else ""
        first, dash, last = text.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            return self.wrong(node, reader)
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0
        return tuple((start + day) % 7 for day in range(length + 1))

    def schema(self) -> Schema:
        """A string."""
        day = f"({'|'.join(DAYS)})"
        return {"type": "string", "pattern": f"^{day}(-{day})?$", "examples": ["mon-fri"]}


class Hours(Kind):
    """From when until when."""

    name = "range of hours"
    expects = "hours such as `09:00-18:00`"
    _match = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)").fullmatch

    def parse(self, node: Node, reader: Reader) -> Any:
        """(from, until) in minutes of the day."""
        found = self._match(node.text) if isinstance(node, ScalarNode) else None
        if found is None:
            return self.wrong(node, reader)
        hour, minute, end_hour, end_minute = map(int, found.groups())
        start, until = 60 * hour + minute, 60 * end_hour + end_minute
        if until > DAY_MINUTES:
            return self.wrong(node, reader)
        if start == until:
            return reader.fault(node, f"{quoted(found[0])} is no time at all; for the whole day leave `hours` out")
        return start, until

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "pattern": "^\\d{2}:\\d{2}-\\d{2}:\\d{2}$", "examples": ["09:00-18:00"]}


class Day(Kind):
    """A date."""

    name = "date"
    expects = "a date such as `2026-12-24`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Days since 1970-01-01."""
        text = node.text if isinstance(node, ScalarNode) else ""
        try:
            found = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None
        except ValueError:
            return reader.fault(node, f"there is no day {quoted(text)}")
        return self.wrong(node, reader) if found is None else (found - _EPOCH).days

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "format": "date", "pattern": "^\\d{4}-\\d{2}-\\d{2}$"}


def _schedule(fields: Fields) -> Any:
    if not any(word in fields for word in ("days", "hours", "from", "until")):
        return fields.fault("zone", "a schedule needs `days`, `hours`, `from` or `until`")
    first, last = fields.get("from"), fields.get("until")
    if first is not None and last is not None and first > last:
        return fields.fault("until", "the last day comes before the first")
    zone, offsets = fields["zone"]
    days = {day for some in fields.get("days", ()) for day in some}
    return Schedule(zone, tuple(sorted(days)), fields.get("hours", ()), first, last, offsets)


SCHEDULE = Form(
    "schedule",
    "`schedule`",
    "When the rule may suggest, by the clocks of a time zone; a firing outside is counted as `off_schedule`.",
    (
        Key("zone", Zone(), "whose clocks", True, example="zone: Europe/Rome"),
        Key("days", _OneOrMore(Days()), "on which days", default="every day", example="days: mon-fri"),
        Key(
            "hours",
            _OneOrMore(Hours()),
            "from when until when; past midnight when the end is not after the beginning",
            default="all day",
            example="hours: 09:00-18:00",
        ),
        Key("from", Day(), "the first day", example="from: 2026-11-27"),
        Key("until", Day(), "the last day, which still belongs to it", example="until: 2026-12-24"),
    ),
    _schedule,
)


def _audience(fields: Fields) -> Any:
    if "session" not in fields and "visitors" not in fields:
        return fields.reader.fault(fields.mark, "`audience` needs `session` or `visitors`")
    if fields.get("visitors", 1.0) <= 0:
        return fields.fault("visitors", "a share of nobody: write `mode: off`")
    return Audience(fields.get("session", ()), fields.get("visitors", 1.0))


AUDIENCE = Form(
    "audience",
    "`audience`",
    "Whom the rule is for; a firing for anybody else is counted as `not_in_audience`.",
    (
        Key(
            "session",
            Where(session=True),
            "tests on the session when the rule fires",
            default="every session",
            example="session: {device: mobile}",
        ),
        Key(
            "visitors", Share(), "this share of all visitors, by a fixed draw", default="100%", example="visitors: 20%"
        ),
    ),
    _audience,
)

ON_EDIT = Choice(
    {
        "keep": "conditions that did not change go on where they are",
        "restart": "every edit of the rule begins all of its conditions anew",
    }
)
