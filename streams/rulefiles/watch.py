"""Whether the rule files of a directory have changed, and to what. Never a half of it.

1. `look` compares a cheap signature: where the directory really is (a checkout is mounted as a link that is swapped)
   and of every rule file its path, inode, size and time of change. Every `HASH_EVERY`-th look reads all files besides,
   for changes that a coarse clock hides.
2. What changed is used only once two looks in a row see the same: an editor or a checkout at work is waited for.
3. The files are read between two signatures; when these differ, something moved underneath, and the next look tries
   again.
4. Contents are known by a digest over paths and bytes, so that a file that is only touched is no change.

Not thread-safe: one watcher belongs to one thread at a time. Only reads; knows nothing of rules.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from streams.rulefiles.findings import Report
from streams.rulefiles.program import read_files, rule_paths

HASH_EVERY = 20  # looks; at two looks a second, what no signature shows is found within ten seconds
BYTES_MAX = 8 * 1024 * 1024  # of all files together: what one record of the rules' topic may carry

Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rule files of one moment: contents by path below the directory. `problem`: why they cannot be used."""

    files: Mapping[str, bytes] = field(repr=False)
    digest: str
    problem: str | None = None


def digest_of(files: Mapping[str, bytes]) -> str:
    """12 hex digits over paths and contents, whatever the order."""
    whole = blake2b(digest_size=6)
    for name in sorted(files):
        for part in (name.encode("utf-8", "surrogateescape"), files[name]):
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


def take(directory: Path) -> Snapshot:
    """Read the directory now. Raises FileNotFoundError when there is none."""
    report = Report()
    files = read_files(directory.resolve(strict=True), report)
    problem = "\n".join(map(str, report.findings)) or None
    if sum(map(len, files.values())) > BYTES_MAX:
        problem = f"{directory}: more than {BYTES_MAX} bytes of rule files"
    return Snapshot(files, digest_of(files), problem)


def signature(directory: Path) -> Signature:
    """What `look` compares. ``(None,)``: there is no such directory."""
    try:
        real = directory.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return (None,)
    seen: list[object] = [str(real)]
    for path in rule_paths(real, Report()):
        try:
            found = path.stat()
        except OSError:
            seen.append((str(path), None))
        else:
            seen.append((str(path), found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(seen)


class Watcher:
    """Watches one directory from the moment it is made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._settled = self._before = signature(directory)
        self.last: Snapshot | None = None
        if self._settled != (None,):
            with contextlib.suppress(OSError):  # it went just now
                self.last = take(directory)
        if signature(directory) != self._settled:
            self._settled = (None, "it moved while it was read")
        self._looks = 0

    def look(self) -> Snapshot | None:
        """The files, when they are others than at the look before and have come to rest; else None."""
        self._looks += 1
        now = signature(self._directory)
        resting, self._before = now == self._before, now
        if not resting or now == (None,):
            return None  # 2; and a directory that is gone is between two checkouts, or unmounted: nothing to obey
        if now == self._settled and self._looks % HASH_EVERY:
            return None
        try:
            found = take(self._directory)
        except OSError:
            return None
        if signature(self._directory) != now:  # 3
            return None
        self._settled = now
        if self.last is not None and found.digest == self.last.digest and found.problem == self.last.problem:
            return None  # 4
        self.last = found
        return found
