"""The nodes of a compiled condition tree: whether a tree holds is asked here, many times an event.

Classes rather than closures: compiled (see setup.py), a method of a class is called directly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from streams.core.conditions import Key, Leaf
from streams.core.session import Session

Keys = set[int] | frozenset[int]
NONE: Final[frozenset[int]] = frozenset()


class Node(ABC):
    """One node of a tree."""

    __slots__ = ()

    @abstractmethod
    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        """Whether it holds as of `at`.

        `hits`: keys of the leaves with a new match in this step; `muted`: of those to be taken as not matching.
        """


class AllNode(Node):
    """Every part holds."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self._parts = parts

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        for part in self._parts:  # noqa: SIM110 - all() would make a generator for each question
            if not part.holds(session, at, hits, muted):
                return False
        return True


class AnyNode(Node):
    """At least one part holds."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Node, ...]) -> None:
        self._parts = parts

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        for part in self._parts:  # noqa: SIM110 - as above
            if part.holds(session, at, hits, muted):
                return True
        return False


class NotNode(Node):
    """The part does not hold."""

    __slots__ = ("_part",)

    def __init__(self, part: Node) -> None:
        self._part = part

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        return not self._part.holds(session, at, hits, muted)


class LeafNode(Node):
    """A leaf whose answer its state has."""

    __slots__ = ("_leaf",)

    def __init__(self, leaf: Leaf) -> None:
        self._leaf = leaf

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        return self._leaf.holds(session, at)


class PulseNode(Node):
    """A leaf that holds only in the step that fed it."""

    __slots__ = ("_key",)

    def __init__(self, leaf: Leaf) -> None:
        self._key: Key = leaf.key

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        return self._key in hits and self._key not in muted


class MatchNode(Node):
    """A leaf that completes matches."""

    __slots__ = ("_key", "_leaf")

    def __init__(self, leaf: Leaf) -> None:
        self._key: Key = leaf.key
        self._leaf = leaf

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        return self._key not in muted and self._leaf.holds(session, at)


class WatchedNode(Node):
    """A node that shows `seen` what it is asked, and asks the node in its place: for those who measure coverage."""

    __slots__ = ("_node", "_seen")

    def __init__(self, node: Node, seen: Callable[[Session, int, Keys, Keys], None]) -> None:
        self._node = node
        self._seen = seen

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        self._seen(session, at, hits, muted)
        return self._node.holds(session, at, hits, muted)


class LateNode(Node):
    """A leaf of which a late event can complete a window that is over by now."""

    __slots__ = ("_key", "_leaf")

    def __init__(self, leaf: Leaf) -> None:
        self._key: Key = leaf.key
        self._leaf = leaf

    def holds(self, session: Session, at: int, hits: Keys, muted: Keys) -> bool:
        return self._leaf.holds(session, at) or (self._key in hits and self._key not in muted)
