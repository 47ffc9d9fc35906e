"""The kinds of single values: words, texts, durations, shares, numbers, choices. All durations become whole ms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from streams.core.definition import Text
from streams.rulefiles.findings import BROKEN, quoted, suggest
from streams.rulefiles.forms import Kind, Reader, Schema
from streams.rulefiles.yaml_tree import MapNode, Node, ScalarNode, scalar_value

LINE_CHARS_MAX = 200  # titles and names: what fits on one line of a report
TEXT_CHARS_MAX = 1000  # a suggestion is read at a glance; the event's own strings end at 2,048
DURATION_MS_MAX = 400 * 86_400_000  # a year and a bit: no visitor's state is kept longer
LANGUAGES_MAX = 40

UNIT_MS: Mapping[str, int] = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:ms|[dhms]))+\Z")
_DURATION_PART = re.compile(r"([0-9]+)(ms|[dhms])")
DURATION_PATTERN = "^([0-9]+(ms|d|h|m|s))+$"


def parse_duration(text: str) -> int | None:
    """Milliseconds of ``500ms``, ``40s``, ``5m``, ``1h30m``, ``7d``; None for anything else.

    Units go from large to small, each at most once.
    """
    if not _DURATION.match(text):
        return None
    parts = _DURATION_PART.findall(text)
    sizes = [UNIT_MS[unit] for _, unit in parts]
    if any(after >= before for before, after in pairwise(sizes)):
        return None
    return sum(int(number) * size for (number, _), size in zip(parts, sizes, strict=True))


def write_duration(ms: int) -> str:
    """The shortest text of a duration: 90000 -> ``1m30s``."""
    if ms == 0:
        return "0s"
    sign, rest, text = "-" if ms < 0 else "", abs(ms), ""
    for unit, size in UNIT_MS.items():
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return sign + text


class Duration(Kind):
    """A duration, in ms."""

    name = "duration"
    expects = "a duration such as `40s`, `5m` or `1h30m`"

    def __init__(self, *, zero: bool = False) -> None:
        self.zero = zero

    def parse(self, node: Node, reader: Reader) -> Any:
        """Whole milliseconds."""
        if not isinstance(node, ScalarNode):
            return self.wrong(node, reader)
        ms = parse_duration(node.text)
        if ms is None:
            if isinstance(scalar_value(node), int | float):
                return reader.fault(
                    node, f"a duration needs a unit: {quoted(node.text + 's')}, {quoted(node.text + 'm')}, ..."
                )
            return self.wrong(node, reader)
        if ms == 0 and not self.zero:
            return reader.fault(node, "a duration of nothing: no time is less than 0, so this could never hold")
        if ms > DURATION_MS_MAX:
            return reader.fault(node, f"{quoted(node.text)} is longer than {write_duration(DURATION_MS_MAX)}")
        return ms

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "pattern": DURATION_PATTERN, "examples": ["40s", "5m", "1h30m"]}


class Word(Kind):
    """A name of a certain form: rule ids, outcomes, event types."""

    def __init__(self, name: str, pattern: str, expects: str) -> None:
        self.name, self.pattern, self.expects = name, pattern, expects
        self._match = re.compile(pattern + r"\Z").match

    def parse(self, node: Node, reader: Reader) -> Any:
        """The text as written."""
        if not isinstance(node, ScalarNode) or not self._match(node.text):
            return self.wrong(node, reader)
        return node.text

    def schema(self) -> Schema:
        """A string with a pattern."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Line(Kind):
    """One line of plain text for people; numbers and words are taken as written."""

    name = "text"
    expects = "a line of text"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The text without spaces around it."""
        if not isinstance(node, ScalarNode) or not node.text.strip():
            return self.wrong(node, reader)
        text = node.text.strip()
        if len(text) > LINE_CHARS_MAX or "\n" in text:
            return reader.fault(node, f"expected one line of at most {LINE_CHARS_MAX} characters, got {len(text)}")
        return text

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "minLength": 1, "maxLength": LINE_CHARS_MAX}


class Choice(Kind):
    """One of a few words."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self.words = words  # word -> what it means
        self.name = " \\| ".join(f"`{word}`" for word in words)
        self.expects = " or ".join(f"`{word}`" for word in words)

    def parse(self, node: Node, reader: Reader) -> Any:
        """The word."""
        if not isinstance(node, ScalarNode) or not node.text:
            return self.wrong(node, reader)
        if node.text not in self.words:
            return reader.fault(node, f"unknown word {quoted(node.text)}" + suggest(node.text, self.words))
        return node.text

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.words)}


class Flag(Kind):
    """True or false; ``yes`` and ``on`` are words in YAML 1.2 and not accepted."""

    name = "true or false"
    expects = "`true` or `false`"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A bool."""
        value = scalar_value(node) if isinstance(node, ScalarNode) else None
        return value if isinstance(value, bool) else self.wrong(node, reader)

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


class Whole(Kind):
    """A whole number within bounds, both included."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.name = "number"
        self.expects = f"a whole number from {low} to {high}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """An int."""
        value = scalar_value(node) if isinstance(node, ScalarNode) else None
        if type(value) is not int or not self.low <= value <= self.high:
            return self.wrong(node, reader)
        return value

    def schema(self) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


class Number(Kind):
    """Any number, or one that is not negative."""

    def __init__(self, *, low: float | None = None) -> None:
        self.low = low
        self.name = "number"
        self.expects = "a number" if low is None else f"a number of at least {low:g}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """An int or float as written."""
        value = scalar_value(node) if isinstance(node, ScalarNode) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.wrong(node, reader)
        return self.wrong(node, reader) if self.low is not None and value < self.low else value

    def schema(self) -> Schema:
        """A number."""
        return {"type": "number"} | ({} if self.low is None else {"minimum": self.low})


class Share(Kind):
    """A share of visitors, 0 to 1: ``10%`` or ``0.1``."""

    name = "share"
    expects = "a share such as `10%` or `0.1`"
    _percent = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%\Z")

    def parse(self, node: Node, reader: Reader) -> Any:
        """A float, 0 to 1."""
        if not isinstance(node, ScalarNode):
            return self.wrong(node, reader)
        percent = self._percent.match(node.text)
        value = float(percent[1]) / 100 if percent else scalar_value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.wrong(node, reader)
        if not 0 <= value <= 1:
            hint = f"; did you mean `{node.text}%`?" if not percent and 1 < value <= 100 else ""
            return reader.fault(node, f"a share lies between `0%` and `100%`, got {quoted(node.text)}{hint}")
        return float(value)

    def schema(self) -> Schema:
        """A percentage or a number."""
        percent = {"type": "string", "pattern": "^[0-9]{1,3}(\\.[0-9]{1,6})? ?%$", "examples": ["10%"]}
        return {"anyOf": [percent, {"type": "number", "minimum": 0, "maximum": 1}]}


# --- texts for visitors ----------------------------------------------------------------------------------------

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}\Z")
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class Template(Kind):
    """Text for visitors with placeholders. These are noted in the reader; the rule checks them (it knows the steps)."""

    name = "text"
    expects = "a text"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The template's text."""
        if not isinstance(node, ScalarNode) or not node.text.strip():
            return self.wrong(node, reader)
        if len(node.text) > TEXT_CHARS_MAX:
            return reader.fault(node, f"a text has at most {TEXT_CHARS_MAX} characters, got {len(node.text)}")
        rest = _PLACEHOLDER.sub("", node.text)
        if "{{" in rest or "}}" in rest:
            return reader.fault(node, "a placeholder is not closed: write `{{ event.props.NAME }}`")
        reader.placeholders.extend((node.mark, found.strip()) for found in _PLACEHOLDER.findall(node.text))
        return node.text

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX}


class Texts(Kind):
    """One text (English), or a map from languages to texts; the first is the fallback."""

    name = "text, or texts by language"
    expects = "a text, or a map of languages to texts (`{en: ..., it: ...}`)"
    _template = Template()

    def parse(self, node: Node, reader: Reader) -> Any:
        """A `Text`: pairs of language and template."""
        if isinstance(node, ScalarNode):
            text = self._template.read(node, reader)
            return BROKEN if text is BROKEN else (("en", text),)
        if not isinstance(node, MapNode) or not node.items:
            return self.wrong(node, reader)
        if len(node.items) > LANGUAGES_MAX:
            return reader.fault(node, f"at most {LANGUAGES_MAX} languages, got {len(node.items)}")
        pairs: Text = ()
        whole = True
        for language, value in node.items:
            if not _LANGUAGE.match(language.text):
                whole = False
                reader.fault(
                    language, f"expected a language such as `en`, `it` or `pt-BR`, got {quoted(language.text)}"
                )
            text = self._template.read(value, reader)
            whole = whole and text is not BROKEN
            pairs += ((language.text, text),)
        return pairs if whole else BROKEN

    def schema(self) -> Schema:
        """A string or an object."""
        by_language = {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"},
            "additionalProperties": self._template.schema(),
        }
        return {"anyOf": [self._template.schema(), by_language]}


class Link(Kind):
    """Where a suggestion leads: a path on this site, or https on an allow-listed host. No placeholders."""

    name = "link"
    expects = "a link: a path such as `/orders/track`, or `https://` on an allowed host"

    def parse(self, node: Node, reader: Reader) -> Any:
        """The link's text."""
        if not isinstance(node, ScalarNode) or not node.text:
            return self.wrong(node, reader)
        text = node.text
        if len(text) > TEXT_CHARS_MAX:
            return reader.fault(node, f"a link has at most {TEXT_CHARS_MAX} characters, got {len(text)}")
        if "{{" in text:
            return reader.fault(node, "a link has no placeholders: what visitors typed must not decide where it leads")
        if any(c.isspace() or c in "\\\"'<>" or not c.isprintable() for c in text):
            return reader.fault(node, "a link has no spaces, quotes, backslashes or angle brackets")
        if text.startswith("//"):
            return reader.fault(node, "a link that begins with `//` leads to another site; begin it with one `/`")
        return text if text.startswith("/") else self._foreign(node, text, reader)

    def _foreign(self, node: Node, text: str, reader: Reader) -> Any:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            return self.wrong(node, reader)
        if parts.scheme != "https" or not host or "@" in parts.netloc or port not in (None, 443):
            return self.wrong(node, reader)
        if host not in reader.allowed_link_hosts:
            return reader.fault(
                node,
                f"links to {quoted(host)} are not allowed{suggest(host, sorted(reader.allowed_link_hosts))}"
                " (the setting AVERT_ALLOWED_LINK_HOSTS lists the hosts)",
            )
        return text

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "pattern": "^(/([^/].*)?|https://.+)$"}
