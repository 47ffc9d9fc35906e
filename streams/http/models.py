"""What goes over the wire: one Struct a body. The OpenAPI document is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streams.core.effects import Refusal
from streams.core.event import ID_CHARS_MAX, TYPE_CHARS_MAX, VISITOR_CHARS_MAX

VisitorId = Annotated[str, Meta(min_length=1, max_length=VISITOR_CHARS_MAX, description="The visitor's id.")]
TypeName = Annotated[str, Meta(min_length=1, max_length=TYPE_CHARS_MAX, pattern=r"^[a-z0-9_.]{1,64}$")]
Instant = Annotated[int | float | str, Meta(description="Milliseconds since the epoch, or ISO 8601.")]

Renewal = Annotated[str, Meta(description="The renewal that came with the visitor's id: gets a new token for him.")]


class EventIn(msgspec.Struct, omit_defaults=True):
    """One thing that a visitor did, as a site sends it. Unknown fields are kept in the log and ignored."""

    id: Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX, description="Idempotency key, made by the client.")]
    type: Annotated[TypeName, Meta(description="What happened: `page_view`, `search`, `chat_opened`, ...")]
    visitor: VisitorId | None = None
    session: Annotated[str, Meta(min_length=1, max_length=VISITOR_CHARS_MAX)] | None = None
    ts: Instant | None = None
    page: dict[str, Any] = {}
    props: dict[str, Any] = {}
    context: dict[str, Any] = {}
    sentAt: Instant | None = None  # the name on the wire
    renewal: Renewal | None = None


class EventsIn(msgspec.Struct, omit_defaults=True):
    """Several events in one request. `sentAt` is the client's clock when it sent them.

    `visitor` says whose `renewal` it is when there are no events to say it.
    """

    events: Annotated[list[EventIn], Meta(max_length=500)]
    sentAt: Instant | None = None  # the name on the wire
    visitor: VisitorId | None = None
    renewal: Renewal | None = None


class Rejected(msgspec.Struct):
    """Why one event of a request was not accepted; `index` counts from 0."""

    index: int
    reason: Refusal
    detail: str


class Action(msgspec.Struct):
    """A link to offer."""

    label: str
    href: str


class SuggestionOut(msgspec.Struct):
    """One suggestion, in one language. `expires`: ms since the epoch; not to be shown after."""

    id: str
    rule: str
    placement: str
    title: str
    body: str
    action: Action | None
    expires: int


class SuggestionsOut(msgspec.Struct):
    """What may be shown now, highest priority first."""

    suggestions: list[SuggestionOut]


class EventsOut(msgspec.Struct, omit_defaults=True):
    """What became of a request's events. All that is counted in `accepted` is durably in the log.

    `visitor` and `token`: the id that was made for events without one, and the token that opens its suggestions; or
    a new token for whoever sent one that ends soon, or a renewal. `renewal` comes once, with a new id.
    `processed` and `suggestions` only with `?wait`.
    """

    accepted: int
    rejected: list[Rejected]
    visitor: str | None = None
    token: str | None = None
    renewal: str | None = None
    processed: bool | None = None
    suggestions: list[SuggestionOut] | None = None


class ReceiptIn(msgspec.Struct, forbid_unknown_fields=False):
    """The site's word on a suggestion. `session` if the site gives its events explicit session ids."""

    suggestion: Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX)]
    visitor: VisitorId
    kind: Literal["shown", "clicked", "dismissed"]
    session: Annotated[str, Meta(min_length=1, max_length=VISITOR_CHARS_MAX)] | None = None


class ReceiptOut(msgspec.Struct):
    """The receipt is in the log. A repeated one is recognised and counted once."""

    accepted: int


class TokenIn(msgspec.Struct):
    """Whom the token is for; without `visitor`, for a new id."""

    visitor: VisitorId | None = None


class TokenOut(msgspec.Struct, omit_defaults=True):
    """A visitor token. `expires`: ms since the epoch. `renewal` comes once, with a new id."""

    visitor: str
    token: str
    expires: int
    renewal: str | None = None


class HealthOut(msgspec.Struct):
    """The process lives."""

    status: Literal["ok"]


class ReadyOut(msgspec.Struct):
    """Whether events can be accepted (`kafka`) and suggestions read (`redis`) now."""

    ready: bool
    kafka: bool
    redis: bool
