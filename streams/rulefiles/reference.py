"""The reference part of docs/rules.md, from the same tables that the loader reads with.

``python -m streams.rulefiles.reference docs/rules.md`` writes it between the markers; a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from streams.core.definition import SessionField
from streams.core.effects import Suppression
from streams.rulefiles.conditions import FORMS
from streams.rulefiles.fields import OPERATORS
from streams.rulefiles.forms import Form, Key, Kind, walk
from streams.rulefiles.funnels import FUNNELS_FILE
from streams.rulefiles.outcomes import OUTCOMES_FILE
from streams.rulefiles.rules import RULE, RULES_FILE
from streams.rulefiles.values import Choice

BEGIN = "<!-- reference: written by `python -m streams.rulefiles.reference docs/rules.md`; do not edit below -->"
END = "<!-- reference: end -->"

SESSION_FIELD_DOCS = {
    SessionField.DURATION: "from its first event to its latest; compare with a duration, such as `{gte: 2m}`",
    SessionField.EVENTS: "how many events it has",
    SessionField.PAGE_VIEWS: "how many of them are of type `page_view`",
    SessionField.ENTRY_PATH: "the path of its first page",
    SessionField.REFERRER_HOST: "the site that led here",
    SessionField.DEVICE: "the visitor's device, as the tracker names it",
    SessionField.COUNTRY: "the visitor's country",
    SessionField.LOCALE: "the visitor's language and country",
    SessionField.RETURNING: "`true` when the visitor had been here before this session",
}

REASON_DOCS = {
    Suppression.NO_CONSENT: "the visitor has not consented",
    Suppression.OFF_SCHEDULE: "outside the rule's hours",
    Suppression.NOT_IN_AUDIENCE: "the visitor or the session is not in the rule's `audience`",
    Suppression.LIMIT_SESSION: "`per_session` is reached",
    Suppression.LIMIT_VISITOR: "`per_visitor` is reached",
    Suppression.COOLDOWN: "`cooldown` is not over",
    Suppression.DISMISSED: "the visitor has waved it away",
    Suppression.OUTCOME_HAPPENED: "what it should prevent has just happened",
    Suppression.OUTRANKED: "another rule won the placement",
    Suppression.TOO_MANY_LIVE: "the visitor has too many suggestions already",
    Suppression.TEMPLATE_FIELD_MISSING: "a placeholder found nothing, and a text with a hole misleads",
}


def reference() -> str:
    """The tables, as Markdown."""
    return "\n".join(_lines()).strip() + "\n"


def _lines() -> Iterator[str]:
    forms = [form for form in walk((RULE, RULES_FILE, OUTCOMES_FILE, FUNNELS_FILE)) if FORMS.get(form.name) is not form]
    yield "## Reference"
    for form in forms:
        yield from _form(form, form.title.removeprefix("a ").removeprefix("an ").capitalize())
    yield from ("", "### Conditions", "")
    yield "Each is a map with its own word first."
    for form in FORMS.values():
        yield from _form(form, f"`{form.name}`", level=4)
    yield from ("", "### Operators", "", "| operator | meaning | example |", "| --- | --- | --- |")
    for row in OPERATORS:
        yield f"| `{row.operator}` | {row.doc} | `{_cell(row.example)}` |"
    yield from ("", "A field that is not there fails every test but `exists: false`, `ne` and `not_in`.")
    yield from (
        "In a step of a sequence, `eq`, `ne`, `gt`, `gte`, `lt` and `lte` can compare with a field of an earlier step:",
        "`{gt: {step: first.price}}`, where `first` is the step with `as: first`.",
    )
    yield from ("", "### Session fields", "", "| field | |", "| --- | --- |")
    for field in SessionField:
        yield f"| `{field}` | {SESSION_FIELD_DOCS[field]} |"
    yield "| `campaign.NAME` | what the campaign's parameter NAME said, such as `campaign.source` |"
    yield from ("", "### Reasons of suppression", "", "| reason | |", "| --- | --- |")
    for reason in Suppression:
        yield f"| `{reason}` | {REASON_DOCS[reason]} |"


def _form(form: Form, heading: str, level: int = 3) -> Iterator[str]:
    yield from ("", f"{'#' * level} {heading}", "", form.doc, "", "| key | value | | meaning | example |")
    yield "| --- | --- | --- | --- | --- |"
    for key in form.keys:
        needed = "required" if key.required else f"default: {key.default}" if key.default else ""
        example = f"`{_cell(key.example)}`" if key.example else ""
        yield f"| `{key.name}` | {_cell(_value(key.kind))} | {needed} | {_meaning(key)} | {example} |"


def _value(kind: Kind) -> str:
    return " or ".join(f"`{word}`" for word in kind.words) if isinstance(kind, Choice) else kind.name


def _meaning(key: Key) -> str:
    words = key.kind.words if isinstance(key.kind, Choice) else {}
    return "; ".join([key.doc, *(f"`{word}`: {meaning}" for word, meaning in words.items() if meaning)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def written_into(page: str) -> str:
    """`page` with its reference part renewed."""
    before, found, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before if found else page}{BEGIN}\n\n{reference()}\n{END}{after or chr(10)}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written_into(path.read_text(encoding="utf-8")), encoding="utf-8")
