"""The machinery of the schema: kinds of values and forms of maps, as tables.

A `Kind` knows how to read one value, what to call it, and its JSON Schema. A `Form` is a table of keys, each
with a kind, a sentence and whether it is required, and a function that builds the model from what was read.
The messages about unknown keys, the reference page and the JSON Schema all come from these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.core.definition import Mark
from streams.rulefiles.findings import BROKEN, Report, quoted, suggest
from streams.rulefiles.yaml_tree import BrokenNode, ListNode, MapNode, Node, ScalarNode

Schema = dict[str, Any]


@dataclass(slots=True)
class Reader:
    """What the readers of one load share. `placeholders` are those of the rule being read, with their places."""

    report: Report
    allowed_link_hosts: frozenset[str] = frozenset()
    placeholders: list[tuple[Mark, str]] = field(default_factory=list)

    def fault(self, where: Node | Mark, message: str) -> Any:
        """Report and return BROKEN, so that a reader can ``return reader.fault(...)``."""
        self.report.add(where if isinstance(where, Mark) else where.mark, message)
        return BROKEN


def shown(node: Node) -> str:
    """What stands at a node, for a message."""
    if isinstance(node, ScalarNode):
        return quoted(node.text) if node.text else "nothing" if node.plain else "an empty text"
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode) and node.items:
        return f"a map ({quoted(node.items[0][0].text + ': ...')})"
    return "an empty map"


class Kind:
    """One kind of value. `name` is its word in the reference; `expects` completes "expected ..."."""

    name: str = "value"
    expects: str = "a value"

    def read(self, node: Node, reader: Reader) -> Any:
        """The value, or BROKEN after a report. A node that is broken already is passed over in silence."""
        if isinstance(node, BrokenNode):
            return BROKEN
        return self.parse(node, reader)

    def parse(self, node: Node, reader: Reader) -> Any:
        """The value of a node that is not broken."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """The JSON Schema (2020-12) of one such value; others are referred to by ``#/$defs/NAME``."""
        return {}

    def parts(self) -> Iterator[Kind | Form]:
        """Kinds and forms inside this one, for whoever walks the tables."""
        return iter(())

    def wrong(self, node: Node, reader: Reader) -> Any:
        """The usual fault: something else was expected here."""
        return reader.fault(node, f"expected {self.expects}, got {shown(node)}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a form."""

    name: str
    kind: Kind
    doc: str
    required: bool = False
    default: str = ""  # as it stands in the reference
    example: str = ""


class Fields:
    """What was read of one map: the values by key, and where they stand."""

    __slots__ = ("_values", "node", "reader")

    def __init__(self, node: MapNode, values: dict[str, Any], reader: Reader) -> None:
        self.node = node
        self.reader = reader
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of `name`, or `default` when the key is not there."""
        return self._values.get(name, default)

    @property
    def mark(self) -> Mark:
        """Where the map starts."""
        return self.node.mark

    def key_mark(self, name: str) -> Mark:
        """Where the key stands (the map's start when it is not there)."""
        key = self.node.key(name)
        return self.node.mark if key is None else key.mark

    def value_mark(self, name: str) -> Mark:
        """Where the value stands (the map's start when it is not there)."""
        value = self.node.get(name)
        return self.node.mark if value is None else value.mark

    def fault(self, name: str, message: str) -> Any:
        """Report at the key `name`; returns BROKEN."""
        return self.reader.fault(self.key_mark(name), message)


Build = Callable[[Fields], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of map: `name` as in "unknown key `x` in `a rule`", its keys, and what is built from them."""

    name: str
    title: str
    doc: str
    keys: tuple[Key, ...]
    build: Build
    planned: tuple[str, ...] = ()  # words of the language that this version does not know yet
    hints: Mapping[str, str] = field(default_factory=dict)  # keys that people write here by mistake -> what to write
    constraints: Schema = field(default_factory=dict)  # between keys, as JSON Schema

    def find(self, name: str) -> Key | None:
        """The key of that name, or None."""
        return next((key for key in self.keys if key.name == name), None)

    def read(self, node: MapNode, reader: Reader) -> Any:
        """Read every key, report what is unknown or missing, then build. BROKEN if anything was wrong."""
        whole = True
        values: dict[str, Any] = {}
        for name, value in node.items:
            key = self.find(name.text)
            if key is None:
                reader.fault(name, self.unknown(name.text))
                whole = False
                continue
            read = key.kind.read(value, reader)
            if read is BROKEN:
                whole = False
            values[key.name] = read
        for key in self.keys:
            if key.required and key.name not in values:
                reader.fault(node, f"{self.title} needs `{key.name}`: {key.doc}")
                whole = False
        return self.build(Fields(node, values, reader)) if whole else BROKEN

    def unknown(self, word: str) -> str:
        """The message for a key that this form does not have."""
        if word in self.planned:
            return f"`{word}` is not supported by this version"
        if word in self.hints:
            return f"unknown key {quoted(word)} in {self.title}: {self.hints[word]}"
        return f"unknown key {quoted(word)} in {self.title}" + suggest(word, [key.name for key in self.keys])

    def schema(self) -> Schema:
        """The JSON Schema of such a map."""
        schema: Schema = {
            "type": "object",
            "description": self.doc,
            "properties": {key.name: key_schema(key) for key in self.keys},
            "additionalProperties": False,
        } | self.constraints
        required = [key.name for key in self.keys if key.required]
        return schema | ({"required": required} if required else {})


def key_schema(key: Key) -> Schema:
    """The schema of a key's value, with its sentence, its default and its example."""
    schema: Schema = {"description": key.doc + (f" (default: {key.default})" if key.default else "")}
    inner = key.kind.schema()
    # Beside a `$ref` a description is allowed in 2020-12, and editors show it.
    return {name: value for name, value in inner.items() if name != "description"} | schema


class FormKind(Kind):
    """A map of one form."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.name = form.title.removeprefix("a ").removeprefix("an ").replace("`", "")
        self.expects = f"a map that describes {form.title}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Read the map with its form."""
        return self.form.read(node, reader) if isinstance(node, MapNode) else self.wrong(node, reader)

    def schema(self) -> Schema:
        """A reference to the form."""
        return {"$ref": f"#/$defs/{self.form.name}"}

    def parts(self) -> Iterator[Kind | Form]:
        """The form."""
        yield self.form


class ListOf(Kind):
    """A list of one kind, read whole even when an item is broken."""

    def __init__(self, item: Kind, *, at_least: int = 1, at_most: int = 1000, what: str = "") -> None:
        self.item, self.at_least, self.at_most = item, at_least, at_most
        self.name = f"list of {item.name}"
        self.expects = f"a list of {what or item.name}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """A tuple of the items' values."""
        if not isinstance(node, ListNode):
            return self.wrong(node, reader)
        if not self.at_least <= len(node.items) <= self.at_most:
            got = len(node.items)
            if not got or self.at_least == self.at_most:
                return reader.fault(node, f"expected {self.expects}, got {got or 'an empty list'}")
            bound = f"{self.at_least} at least" if got < self.at_least else f"{self.at_most} at most"
            return reader.fault(node, f"expected {self.expects}, {bound}, got {got}")
        values = tuple([self.item.read(item, reader) for item in node.items])
        return BROKEN if any(value is BROKEN for value in values) else values

    def schema(self) -> Schema:
        """An array."""
        return {"type": "array", "items": self.item.schema(), "minItems": self.at_least, "maxItems": self.at_most}

    def parts(self) -> Iterator[Kind | Form]:
        """The item's kind."""
        yield self.item


class Either(Kind):
    """A map is read as `form`, everything else as `other`: ``per_visitor: 2`` or ``{count: 2, within: 7d}``."""

    def __init__(self, other: Kind, form: Kind) -> None:
        self.other, self.form = other, form
        self.name = f"{other.name} or {form.name}"
        self.expects = f"{other.expects} or {form.expects}"

    def parse(self, node: Node, reader: Reader) -> Any:
        """Whichever of both fits the node's shape."""
        if isinstance(node, ListNode):
            return self.wrong(node, reader)
        return (self.form if isinstance(node, MapNode) else self.other).read(node, reader)

    def schema(self) -> Schema:
        """Either."""
        return {"anyOf": [self.other.schema(), self.form.schema()]}

    def parts(self) -> Iterator[Kind | Form]:
        """Both."""
        yield from (self.other, self.form)


def walk(roots: Sequence[Kind | Form]) -> list[Form]:
    """Every form that can be reached from `roots`, each once, in the order met."""
    forms: list[Form] = []
    seen: set[int] = set()
    todo: list[Kind | Form] = list(roots)
    while todo:
        part = todo.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Form):
            forms.append(part)
            todo.extend(key.kind for key in part.keys)
        else:
            todo.extend(part.parts())
    return forms
