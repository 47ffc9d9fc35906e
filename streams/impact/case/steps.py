"""What a visitor did, by name: the antecedents that are looked at.

An antecedent is a tuple (kind, text, times, type). `type` is the event type that it is read from ("*": of any), `text`
is normalised, so that what people mean alike is counted together:

| kind | text | read from |
| --- | --- | --- |
| `empty_search` | the query; "" for any | `search` with `props.results` 0 |
| `search` | the query | any other `search` |
| `help` | topic or path | `help_view`, or a page below /help, /faq, /support |
| `error`, `form_error` | message; form and field | `js_error`, `form_error` |
| `product` | sku | `product_view` |
| `event` | the type | every type but `page_view` and `search`; also that it came 2 or 3 times in a session |
| `page`, `path` | path; 2 or 3 pages one after the other | `page.path` of any event |
| `signal` | its name | the engine (`recording.py`) |

1. Queries: lower case, punctuation is space. Paths: numbers and long ids are ``*``. Messages: numbers are ``*``.
2. A page seen again at once is one page. Pages and repetitions are counted within a session.
3. Receipts and what somebody else reports are no steps of the visitor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from streams.core.counted import RECEIPTS, is_report
from streams.core.event import Event

TIMES_MAX: Final = 3  # "again and again" begins here; more is the same visitors, fewer of them
TEXT_CHARS_MAX: Final = 80  # longer is prose, and nobody repeats it
PATH_PAGES: Final = (2, 3)  # pages of a path: a step, and a detour; longer ones are seldom the same twice
_REMEMBERED_MAX: Final = 50_000  # texts whose normal form is kept: they come from data
_HELP: Final = frozenset({"help", "faq", "faqs", "support", "hilfe", "aiuto", "aide", "ayuda", "assistance"})
# A number, an order's number, or what a machine minted: hexadecimal, or so long that nobody typed it.
_ID = re.compile(r"\d+|[A-Za-z]{1,3}[-_]?\d{4,}|[0-9a-fA-F-]{16,}|(?=[\w-]*\d)[\w-]{25,}")
_NUMBER = re.compile(r"\d+")
_NOT_WORDS = re.compile(r"[\W_]+")
_PLAIN_SEGMENT = re.compile(r"[^\d*]{0,11}")


class Antecedent(NamedTuple):
    """Something that visitors did. See the table above."""

    kind: str
    text: str
    times: int
    type: str


def query_of(text: str) -> str:
    """A query as it is counted: ``Where's my ORDER?`` is ``where s my order``."""
    return _NOT_WORDS.sub(" ", text[: 4 * TEXT_CHARS_MAX].lower()).strip()[:TEXT_CHARS_MAX].strip()


def path_of(path: str) -> str:
    """A path with its numbers and ids as ``*``: ``/orders/4711/edit`` is ``/orders/*/edit``; "" for what is none."""
    bare = path.partition("?")[0].partition("#")[0]
    if not bare.startswith("/") or len(bare) > TEXT_CHARS_MAX:
        return ""
    segments = bare.rstrip("/").split("/")
    made = "/".join(one if _PLAIN_SEGMENT.fullmatch(one) or not _ID.fullmatch(one) else "*" for one in segments)
    return made or "/"


def message_of(text: str) -> str:
    """An error's text with its numbers as ``*``, cut to TEXT_CHARS_MAX."""
    return _NUMBER.sub("*", " ".join(text.split()))[:TEXT_CHARS_MAX].strip()


def _plain(text: str) -> str:
    return text if 0 < len(text) <= TEXT_CHARS_MAX else ""


# Event type -> the kind of its detail, the fields that name it, and how each is normalised.
DETAILS: Final[dict[str, tuple[str, tuple[str, ...], Callable[[str], str]]]] = {
    "help_view": ("help", ("topic",), _plain),
    "js_error": ("error", ("message",), message_of),
    "form_error": ("form_error", ("form", "field"), _plain),
    "product_view": ("product", ("sku",), _plain),
}


class Trail:
    """Names what one visitor does, event by event; `begin` before each visitor."""

    def __init__(self, session_timeout_ms: int) -> None:
        self._timeout = session_timeout_ms
        self._texts: dict[tuple[Any, str], str] = {}
        self._last = 0
        self._session: str | None = None
        self._pages: list[str] = []
        self._times: dict[str, int] = {}

    def begin(self) -> None:
        """A new visitor."""
        self._last = -self._timeout
        self._session = None
        self._pages = []
        self._times = {}

    def of(self, event: Event) -> list[Antecedent]:
        """The antecedents that this event is, or completes."""
        if event.ts >= self._last + self._timeout or event.session != self._session:
            self._pages, self._times, self._session = [], {}, event.session
        self._last = event.ts
        kind = event.type
        if kind in RECEIPTS or is_report(event):
            return []
        found: list[Antecedent] = []
        if kind == "search":
            self._search(event, found)
        elif kind != "page_view":
            self._again("event", kind, kind, found)
            if kind in DETAILS:
                self._detail(event, found)
        path = event.page.get("path") if event.page else None
        if type(path) is str:
            self._page(self._text(path_of, path), found)
        return found

    def _again(self, kind: str, text: str, of: str, found: list[Antecedent]) -> None:
        times = self._times[text] = self._times.get(text, 0) + 1
        if times <= TIMES_MAX:
            found.append(Antecedent(kind, "" if kind == "empty_search" else text, times, of))

    def _search(self, event: Event, found: list[Antecedent]) -> None:
        results, query = event.props.get("results"), event.props.get("query")
        text = self._text(query_of, query) if type(query) is str else ""
        kind = "search"
        if results == 0 and type(results) is not bool:
            kind = "empty_search"
            self._again(kind, " ", "search", found)  # no type's name: it is counted apart
        if text:
            found.append(Antecedent(kind, text, 1, "search"))

    def _detail(self, event: Event, found: list[Antecedent]) -> None:
        kind, fields, normal = DETAILS[event.type]
        values = [event.props.get(name) for name in fields]
        texts = [self._text(normal, value) for value in values if type(value) is str]
        if len(texts) == len(fields) and all(texts):
            found.append(Antecedent(kind, ": ".join(texts), 1, event.type))

    def _page(self, page: str, found: list[Antecedent]) -> None:
        pages = self._pages
        if not page or (pages and pages[-1] == page):
            return
        found.append(Antecedent("help" if is_help(page) else "page", page, 1, "*"))
        pages.append(page)
        del pages[: -max(PATH_PAGES)]
        ways = [" > ".join(pages[-length:]) for length in PATH_PAGES if len(pages) >= length]
        found += [Antecedent("path", way, 1, "*") for way in ways]

    def _text(self, normal: Callable[[str], str], text: str) -> str:
        known = self._texts.get((normal, text))
        if known is None:
            known = normal(text)
            if len(self._texts) < _REMEMBERED_MAX:
                self._texts[normal, text] = known
        return known


def is_help(page: str) -> bool:
    """Whether a normalised path is a help page."""
    return page.split("/", 2)[1].lower() in _HELP if "/" in page else False


_NAMES: Final = {
    "empty_search": "No result for “{0}”", "search": "Search for “{0}”", "help": "Help page {0}",
    "error": "Error “{0}”", "form_error": "Form error: {0}", "product": "Product {0} looked at", "page": "Page {0}",
    "path": "Way {0}", "event": "{0}", "signal": "{0}",
}  # fmt: skip
_TIMES: Final = {1: "", 2: ", twice in a visit", 3: ", three times in a visit"}
_SPOKEN: Final = {
    "help_view": "Help page opened", "js_error": "Error on a page", "form_error": "Form error",
    "rage_click": "Rage clicks", "dead_click": "Click that did nothing", "error_click": "Click that led to an error",
    "u_turn": "Page left again at once", "form_abandon": "Form given up", "search_refine": "Search reworded",
    "thrash": "Pages in a rush", "product_view": "Product looked at",
}  # fmt: skip


def label_of(one: Antecedent) -> str:
    """An antecedent in words."""
    if one.kind == "empty_search" and not one.text:
        return "Search without a result" + _TIMES[one.times]
    text = one.text.replace(" > ", " → ")
    if one.kind in ("event", "signal"):
        text = _SPOKEN.get(text) or text.replace("_", " ").replace(".", " ").capitalize()
    return _NAMES[one.kind].format(text) + _TIMES[one.times]


GROUPS: Final = {
    "empty_search": "searches without a result", "search": "searches", "help": "help pages", "error": "errors",
    "form_error": "form errors", "product": "products", "page": "pages", "path": "paths", "event": "events",
    "signal": "signals of frustration",
}  # fmt: skip


def kinds_of(antecedents: Iterable[Antecedent]) -> dict[str, int]:
    """How many antecedents of each group were looked at."""
    counts = dict.fromkeys(GROUPS.values(), 0)
    for one in antecedents:
        counts[GROUPS[one.kind]] += 1
    return {name: count for name, count in counts.items() if count}
