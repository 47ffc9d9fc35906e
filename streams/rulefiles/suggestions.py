"""What is suggested: `suggest`, its `action` and its `variants`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.core.definition import Content, Text, Variant
from streams.rulefiles.findings import quoted
from streams.rulefiles.forms import Fields, Form, FormKind, Key, ListOf
from streams.rulefiles.matchers import MatcherKind
from streams.rulefiles.values import Duration, Link, Texts, Whole, Word

EXPIRES_MS_DEFAULT = 600_000  # ten minutes: after that the visitor is somewhere else
VARIANTS_MAX = 10
WEIGHT_MAX = 1000

PLACEMENT = Word("name", "[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", "a name without spaces such as `help-banner`")
VARIANT_NAME = Word("name", "[a-z0-9][a-z0-9_-]{0,31}", "a name (a-z 0-9 _ -) such as `short`")


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
        Key(
            "href",
            Link(),
            "where it leads: a path on this site, or `https://` on an allowed host",
            True,
            example="href: /orders/track",
        ),
    ),
    _action,
)


@dataclass(frozen=True, slots=True)
class _Version:
    """A variant before it has what all of them share."""

    fields: Fields

    def filled(self, title: Text, body: Text, action: _Action | None) -> Variant:
        """The variant; what it leaves out is the suggestion's own."""
        own: _Action | None = self.fields.get("action", action)
        return Variant(
            self.fields["variant"],
            float(self.fields.get("weight", 1)),
            self.fields.get("title", title),
            self.fields.get("body", body),
            own.label if own else (),
            own.href if own else None,
        )


_TITLE_EXAMPLE = 'title: {en: "Can\'t find it?", it: "Non lo trovi?"}'
_ACTION_EXAMPLE = "action: {label: {en: Track my order}, href: /orders/track}"

VARIANT = Form(
    "variant",
    "a variant",
    "One of several texts; each visitor always gets the same one. What it leaves out is the suggestion's own.",
    (
        Key("variant", VARIANT_NAME, "its name, for reports", True, example="variant: short"),
        Key("weight", Whole(1, WEIGHT_MAX), "its share, compared with the others'", default="1", example="weight: 2"),
        Key("title", Texts(), "the headline", example=_TITLE_EXAMPLE),
        Key("body", Texts(), "a sentence or two", example="body: {en: We can look it up for you.}"),
        Key("action", FormKind(ACTION), "a button", example=_ACTION_EXAMPLE),
    ),
    _Version,
)


def _content(fields: Fields) -> Any:
    action: _Action | None = fields.get("action")
    title, body = fields["title"], fields.get("body", ())
    variants = tuple(version.filled(title, body, action) for version in fields.get("variants", ()))
    for version, variant in zip(fields.get("variants", ()), variants, strict=True):
        if sum(other.name == variant.name for other in variants) > 1:
            return version.fields.fault("variant", f"two variants are named {quoted(variant.name)}")
    return Content(
        placement=fields["placement"],
        title=title,
        body=body,
        action_label=action.label if action else (),
        action_href=action.href if action else None,
        expires_ms=fields.get("expires", EXPIRES_MS_DEFAULT),
        withdraw=fields.get("withdraw"),
        variants=variants,
    )


SUGGEST = Form(
    "suggest",
    "a suggestion",
    "What the visitor is offered.",
    (
        Key(
            "placement",
            PLACEMENT,
            "where on the page; of several suggestions for one place the highest priority wins",
            True,
            example="placement: help-banner",
        ),
        Key("title", Texts(), "the headline", True, example='title: {en: "Can\'t find it?", it: "Non lo trovi?"}'),
        Key("body", Texts(), "a sentence or two", example="body: {en: We can look it up for you.}"),
        Key(
            "action", FormKind(ACTION), "a button", example="action: {label: {en: Track my order}, href: /orders/track}"
        ),
        Key("expires", Duration(), "how long it may be shown", default="10m", example="expires: 10m"),
        Key(
            "withdraw",
            MatcherKind(),
            "take it back when such an event comes",
            example="withdraw: {event: order_tracked}",
        ),
        Key(
            "variants",
            ListOf(FormKind(VARIANT), at_least=2, at_most=VARIANTS_MAX, what="variants"),
            "several texts to compare; the treated visitors are split between them by a fixed draw",
            example="variants: [{variant: plain}, {variant: short, title: {en: Lost?}}]",
        ),
    ),
    _content,
)
