"""The frame of a page: head, lead, sections, foot. Everything inside it is already HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from streams.impact.page.style import STYLE

# Nothing may be fetched or run, whatever a title or a label contains.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


class Html(str):
    """Text that is HTML already; all other text is escaped where it is put in."""

    __slots__ = ()


class Section(NamedTuple):
    """One card of the page. `anchor` is its id, for links; `body` is HTML."""

    anchor: str
    body: str


def document(title: str, lead: str, sections: Iterable[Section], foot: str) -> str:
    """A whole page. `title` and `foot` are text, `lead` is HTML."""
    cards = "".join(f'<section class="card" id="{escape(one.anchor)}">{one.body}</section>' for one in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="lead">{lead}</p>{cards}<footer>{escape(foot)}</footer>'
        "</main></body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table of text; `left` are the columns of words. All of it is escaped but `Html`."""

    def cell(tag: str, index: int, text: str) -> str:
        aligned = ' class="left"' if index in left else ""
        return f"<{tag}{aligned}>{text if isinstance(text, Html) else escape(text)}</{tag}>"

    def line(tag: str, row: Sequence[str]) -> str:
        return "<tr>" + "".join(cell(tag, index, text) for index, text in enumerate(row)) + "</tr>"

    heads, lines = line("th", head), "".join(line("td", row) for row in rows)
    return f'<div class="wide"><table><thead>{heads}</thead><tbody>{lines}</tbody></table></div>'


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Large figures with a line below each."""
    made = "".join(f'<div class="tile"><b>{escape(one)}</b><span>{escape(line)}</span></div>' for one, line in pairs)
    return f'<div class="tiles">{made}</div>'


def badge(kind: str, text: str) -> Html:
    """A word on a coloured ground."""
    return Html(f'<span class="badge {escape(kind)}">{escape(text)}</span>')


def with_code(text: str) -> Html:
    """Text in which names stand in backticks."""
    parts = escape(text).split("`")
    last = len(parts) - 1
    return Html("".join(f"<code>{part}</code>" if at % 2 and at < last else part for at, part in enumerate(parts)))


def figure(picture: str, caption: str) -> str:
    """A plot with its words; `caption` is HTML."""
    return f'<figure><div class="wide">{picture}</div><figcaption>{caption}</figcaption></figure>'
