"""The mapping tables of docs/dialects/, from the code's own; ``python -m tests.http.dialect_tables`` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from streams.http.dialects import posthog, segment, snowplow
from streams.http.dialects.names import WORDS

DOCS = Path(__file__).parents[2] / "docs" / "dialects"
_PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`"


def _sources(fields: dict[str, tuple[str, ...]]) -> str:
    return "; ".join(f"`{field}` from {', '.join(map(_code, names))}" for field, names in fields.items())


def words() -> str:
    """Event names that have a word of ours."""
    rows = ((_code(name), _code(word.type), _sources(dict(word.fields))) for name, word in WORDS.items())
    return _table(("name, in snake case", "our type", "our fields, from theirs (the first that is there)"), rows)


def segment_kinds() -> str:
    """Kinds of calls."""
    rows = [("`track`", "what its `event` says: see the names below")]
    return _table(("call", "our type"), [*rows, *((_code(kind), _code(ours)) for kind, ours in segment.KINDS.items())])


def snowplow_kinds() -> str:
    """Kinds of events."""
    rows = [(_code(f"e={sign}"), _code(ours)) for sign, ours in snowplow.KINDS.items()]
    rows += [("`e=se`", "what `se_ac` says (`se_ca` without one): see the names"),
             ("`e=ue`", "what its schema says: below; of other vendors the schema's name: see the names")]
    return _table(("event", "our type"), rows)


def snowplow_schemas() -> str:
    """Self-describing events of Snowplow's own."""
    rows = [
        (_code(name), _code(schema.type), _sources(dict(schema.fields)), ", ".join(map(_code, schema.kept)))
        for name, schema in snowplow.SCHEMAS.items()
    ]
    return _table(("schema", "our type", "our fields, from theirs", "kept as they are"), rows)


def snowplow_ecommerce() -> str:
    """Actions of the e-commerce plugin."""
    return _table(("`type` of the action", "our type"),
                  ((_code(name), _code(ours)) for name, ours in snowplow.ECOMMERCE.items()))


def posthog_kinds() -> str:
    """PostHog's own events."""
    rows = [
        (_code(name), _code(kind.type), _sources({field: (source,) for field, source in kind.fields.items()}))
        for name, kind in posthog.KINDS.items()
    ]
    rows += [(f"`$autocapture` of a {name}", _code(ours), "") for name, ours in posthog.AUTOCAPTURED.items()]
    rows += [(_code(name), "none: not what a visitor did", "") for name in sorted(posthog.DROPPED)]
    return _table(("event", "our type", "our fields, from its properties"), rows)


TABLES = {
    "words": words, "segment_kinds": segment_kinds, "snowplow_kinds": snowplow_kinds,
    "snowplow_schemas": snowplow_schemas, "snowplow_ecommerce": snowplow_ecommerce, "posthog_kinds": posthog_kinds,
}


def filled(page: str) -> str:
    """A page's text with its tables as the code has them."""
    return _PLACE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


if __name__ == "__main__":
    for path in DOCS.glob("*.md"):
        path.write_text(filled(path.read_text()))
