"""Bytes -> a tree of nodes, each with its line and column; or findings. Built from YAML events, not from objects.

1. YAML 1.2, core schema: only true/false are booleans, so that ``on``, ``off``, ``yes`` and ``no`` stay words.
2. Anchors, aliases, tags and directives are findings: a rule file means what it shows. A YAML bomb needs aliases.
3. Duplicate keys are findings; both values are checked, the first is kept.
4. Depth is limited while events arrive, so that no nesting reaches the Python stack; the file's size by bytes.
5. After a syntax error the documents before it are still returned, so that their findings are told too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from streams.core.definition import Mark, Scalar
from streams.rulefiles.findings import Report, quoted

FILE_BYTES_MAX = 256 * 1024  # about 90 rules with their tests; the parser reads that in about a second
DEPTH_MAX = 40  # a condition inside ten others is at about 25
NUMBER_CHARS_MAX = 40  # more digits than any number has; int() of a megabyte of digits would take minutes


@dataclass(slots=True)
class Node:
    """Anything in a file: where it starts."""

    mark: Mark


@dataclass(slots=True)
class ScalarNode(Node):
    """A single value. `text` is as written; `plain` says that it stood without quotes."""

    text: str
    plain: bool


@dataclass(slots=True)
class ListNode(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MapNode(Node):
    """A map, in the file's order, without its duplicates."""

    items: list[tuple[ScalarNode, Node]] = field(default_factory=list)

    def get(self, key: str) -> Node | None:
        """The value of `key`, or None."""
        return next((value for name, value in self.items if name.text == key), None)

    def key(self, key: str) -> ScalarNode | None:
        """The node of the key itself, or None."""
        return next((name for name, _ in self.items if name.text == key), None)


@dataclass(slots=True)
class BrokenNode(Node):
    """What could not be used and has been reported: an alias, a tagged node."""


# --- scalars: the core schema of YAML 1.2, section 10.3.2 ------------------------------------------------------

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OTHER_BASE = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


def scalar_value(node: ScalarNode) -> Scalar:
    """The value that the text means: None, bool, int, float, or the text itself (always so for quoted text)."""
    text = node.text
    if not node.plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > NUMBER_CHARS_MAX:
        return text
    if _INTEGER.match(text):
        return int(text)
    if _OTHER_BASE.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        number = float(text)
        return text if number in (float("inf"), float("-inf")) else number
    return text


# --- the tree --------------------------------------------------------------------------------------------------

# What the parser raises on text that is not YAML. Besides its own errors these have been seen from its inside
# (chr() of a number too large, a tag's handle that is missing), or follow from how it is written.
_PARSER_ERRORS = (
    YAMLError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    NotImplementedError,
    RecursionError,
    OverflowError,
)

# What the parser says -> what a person needs to hear.
_SYNTAX = (
    ("found character '\\t'", "a tab; YAML is indented with spaces"),
    ("mapping values are not allowed", "a second `: ` on this line, or wrong indentation; text with `: ` needs quotes"),
    ("did not find expected <block end>", "wrong indentation: this line belongs to no list or map above it"),
    ("but found '<block mapping start>'", "wrong indentation: this line belongs to no list or map above it"),
    ("could not find expected ':'", "a key without `: value`"),
    ("found unexpected end of stream", "a quote or bracket that is opened here is never closed"),
    ("but found '<stream end>'", "a quote or bracket that is opened here is never closed"),
    ("character '%'", "text that begins with `%` needs quotes"),
    ("character '@'", "text that begins with `@` needs quotes"),
    ("character '`'", "text that begins with a backtick needs quotes"),
    (
        "found unknown escape character",
        "an unknown escape in double quotes; in single quotes `\\` is an ordinary character",
    ),
    ("did not find expected ',' or", "a `,` or a closing bracket is missing before this"),
    ("expected ',' or", "a `,` or a closing bracket is missing before this"),
    ("incompatible YAML", "only YAML 1.2 is read"),
)

_AT_THE_END = ("end of stream", "<stream end>")


def read_tree(raw: bytes, file: str, report: Report) -> list[Node]:
    """The documents of one file, empty ones left out. What is wrong with it as YAML goes to `report`."""
    if len(raw) > FILE_BYTES_MAX:
        report.add(Mark(file), f"the file has {len(raw)} bytes or more; at most {FILE_BYTES_MAX}: split it")
        return []
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report.add(_mark_of_offset(raw[: error.start].decode("utf-8"), file), "a byte that is not UTF-8")
        return []
    builder = _Builder(file, report)
    try:
        for event in _events(text):
            if not builder.take(event):
                break
    except _PARSER_ERRORS as error:
        report.add(*_syntax_finding(error, text, file, builder.last))
    return builder.documents


def _events(text: str) -> Iterator[Any]:
    yield from YAML(typ="safe", pure=True).parse(text)


def _mark_of_offset(before: str, file: str) -> Mark:
    return Mark(file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _syntax_finding(error: BaseException, text: str, file: str, last: Mark) -> tuple[Mark, str]:
    if isinstance(error, ReaderError):
        mark = _mark_of_offset(text[: error.position], file)
        return mark, "a control character that YAML does not allow"
    if not isinstance(error, MarkedYAMLError) or error.problem_mark is None:
        return last, "not YAML from about here on"
    problem, where = str(error.problem), error.problem_mark
    if any(end in problem for end in _AT_THE_END) and error.context_mark is not None:
        where = error.context_mark  # the file's end helps nobody; where it began does
    mark = Mark(file, where.line + 1, where.column + 1)
    said = next((words for part, words in _SYNTAX if part in problem), problem)
    if error.context_mark is not None and error.context_mark.line != where.line:
        said += f" (in what began on line {error.context_mark.line + 1})"
    return mark, f"not valid YAML: {said}"


class _Builder:
    """Takes events one by one and builds the documents, without recursion."""

    def __init__(self, file: str, report: Report) -> None:
        self.documents: list[Node] = []
        self.last = Mark(file)
        self._file = file
        self._report = report
        self._open: list[ListNode | MapNode | BrokenNode] = []
        self._keys: list[Node | None] = []  # for each open node, the key that waits for its value

    def take(self, event: Any) -> bool:
        """Use one event. False when the rest of the file must not be read."""
        mark = Mark(self._file, event.start_mark.line + 1, event.start_mark.column + 1)
        self.last = mark
        kind = type(event)
        if kind is DocumentStartEvent:
            if event.version not in (None, (1, 2)) or event.tags:
                self._report.add(mark, "directives (`%...`) are not used in rule files; only YAML 1.2 is read")
        elif kind in (MappingEndEvent, SequenceEndEvent):
            node = self._open.pop()
            self._keys.pop()
            self._place(node)
        elif kind is ScalarEvent or kind is AliasEvent:
            self._place(self._leaf(event, mark))
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            if len(self._open) >= DEPTH_MAX:
                self._report.add(mark, f"nested deeper than {DEPTH_MAX}")
                return False
            allowed = self._check_plainness(event, mark)
            made = MapNode(mark) if kind is MappingStartEvent else ListNode(mark)
            self._open.append(made if allowed else _BrokenMap(mark) if kind is MappingStartEvent else BrokenNode(mark))
            self._keys.append(None)
        return True

    def _leaf(self, event: Any, mark: Mark) -> Node:
        if type(event) is AliasEvent:
            self._report.add(mark, f"an alias ({quoted('*' + event.anchor)}): write the value out where it is used")
            return BrokenNode(mark)
        if not self._check_plainness(event, mark):
            return BrokenNode(mark)
        try:
            event.value.encode("utf-8")
        except UnicodeEncodeError:
            self._report.add(mark, "an escape that is half a character (a lone surrogate)")
            return BrokenNode(mark)
        return ScalarNode(mark, event.value, plain=not event.style)

    def _check_plainness(self, event: Any, mark: Mark) -> bool:
        if event.anchor is not None:
            self._report.add(mark, f"an anchor ({quoted('&' + event.anchor)}): write the value out where it is used")
            return False
        if event.ctag is not None:
            self._report.add(mark, f"a tag ({quoted(_tag(str(event.ctag)))}): values have no tags in rule files")
            return False
        return True

    def _place(self, node: Node) -> None:
        if not self._open:
            if not (isinstance(node, ScalarNode) and node.plain and node.text == ""):
                self.documents.append(node)
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif not isinstance(parent, MapNode | _BrokenMap):
            return
        elif key is None:
            self._keys[-1] = node
        else:
            self._keys[-1] = None
            if isinstance(node, ScalarNode) and node.plain and not node.text:
                node.mark = key.mark  # nothing stands nowhere; the parser says where the next thing is
            if isinstance(parent, MapNode):
                self._enter(parent, key, node)

    def _enter(self, parent: MapNode, key: Node, value: Node) -> None:
        if isinstance(key, BrokenNode):
            return
        if not isinstance(key, ScalarNode):
            self._report.add(key.mark, "a key must be a word, not a list or a map")
            return
        first = parent.key(key.text)
        if first is not None:
            self._report.add(key.mark, f"the key {quoted(key.text)} stands here twice; first on line {first.mark.line}")
            return
        parent.items.append((key, value))


def _tag(written: str) -> str:
    """A tag as people write it: ``!!int`` for ``tag:yaml.org,2002:int``."""
    return "!!" + written.removeprefix(_CORE_TAGS) if written.startswith(_CORE_TAGS) else written


_CORE_TAGS = "tag:yaml.org,2002:"


class _BrokenMap(BrokenNode):
    """A map that was reported: its keys and values still come in pairs."""
