"""What is wrong with rule files: findings, gathered over all files, told all at once.

1. Nothing here raises while files are being read: a reader reports and goes on with its neighbour.
2. A message says what was wrong, what was expected, and the nearest valid word.
3. What follows only from an earlier finding is not reported: readers pass BROKEN on in silence.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from streams.core.definition import Mark
from streams.errors import RuleFileError

FINDINGS_SHOWN_MAX = 200  # of one load: nobody reads more, and a binary file must not flood a terminal
SHOWN_CHARS_MAX = 40  # of what somebody wrote, inside a message
NEAREST_CUTOFF = 0.7  # at difflib's own 0.6, `less` is taken for `exists`


class Broken:
    """The value of whatever could not be read; it has been reported already."""

    def __repr__(self) -> str:
        return "BROKEN"


BROKEN: Final = Broken()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, and where. Prints as ``file:line:column: message``."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass(slots=True)
class Report:
    """Gathers the findings of one load."""

    _findings: set[Finding] = field(default_factory=set)

    def add(self, mark: Mark, message: str) -> None:
        """Note that at `mark` something is wrong. The same finding twice is one."""
        self._findings.add(Finding(mark.file, mark.line, mark.column, message))

    @property
    def findings(self) -> list[Finding]:
        """All findings, in the order of files, lines and columns."""
        return sorted(self._findings)

    def raise_if_any(self) -> None:
        """Raise RuleFilesBrokenError if anything was found."""
        if self._findings:
            raise RuleFilesBrokenError(self.findings)


class RuleFilesBrokenError(RuleFileError):
    """Rule files cannot be used; `findings` holds every finding and the text a line for each (up to a cap)."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = list(findings)
        lines = [str(finding) for finding in self.findings[:FINDINGS_SHOWN_MAX]]
        if len(self.findings) > FINDINGS_SHOWN_MAX:
            lines.append(f"... and {len(self.findings) - FINDINGS_SHOWN_MAX} more")
        super().__init__("\n".join(lines))


# --- the words of messages -----------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """What somebody wrote, as it may stand inside a message: one line, capped, printable."""
    if len(text) > SHOWN_CHARS_MAX:
        text = text[: SHOWN_CHARS_MAX - 3] + "..."
    return "`" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "`"


def one_of(words: Iterable[str]) -> str:
    """The words as a choice: ``one of `a`, `b` ``, or ``a`` alone."""
    listed = [f"`{word}`" for word in words]
    return listed[0] if len(listed) == 1 else "one of " + ", ".join(listed)


def suggest(word: str, words: Iterable[str]) -> str:
    """``; did you mean `x`?`` for the nearest of `words`, or ``; expected one of ...`` when none is near."""
    known = list(words)
    near = difflib.get_close_matches(word[:SHOWN_CHARS_MAX], known, n=1, cutoff=NEAREST_CUTOFF)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; expected {one_of(known)}" if known else ""
