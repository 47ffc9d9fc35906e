"""What a process and all its children use, sampled from outside (Linux): CPU seconds and resident memory over time."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple, Self

SAMPLE_S = 0.05  # a sample reads two small files for each process
MIB = 1024 * 1024
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """All processes together: when (seconds since the epoch), CPU seconds so far, bytes in memory now."""

    at: float
    cpu_s: float
    resident_bytes: int


class TreeWatch:
    """Samples a process and its descendants until it is left. Children that have ended count with their parents."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        """Begin."""
        self.samples.append(sample(self._pid))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            taken = sample(self._pid)
            if taken.resident_bytes:  # it has not ended
                self.samples.append(taken)

    def cpu_s_at(self, at: float) -> float:
        """CPU seconds until then, on the line between the two samples around it."""
        index = min(max(1, bisect_left(self.samples, at, key=lambda taken: taken.at)), len(self.samples) - 1)
        before, after = self.samples[index - 1], self.samples[index]
        share = (at - before.at) / (after.at - before.at)
        return before.cpu_s + (after.cpu_s - before.cpu_s) * min(1.0, max(0.0, share))

    @property
    def peak_mib(self) -> float:
        """The most that was in memory in any sample."""
        return max(taken.resident_bytes for taken in self.samples) / MIB


def sample(pid: int) -> Sample:
    """One sample of a process and its descendants."""
    cpu_s, resident = 0.0, 0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            # After the name, in parentheses: state is field 3; utime, stime, cutime, cstime are 14 to 17; rss is 24.
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu_s += sum(map(int, fields[11:15])) / _TICKS_PER_S
        resident += int(fields[21]) * _PAGE_BYTES
        waiting.extend(map(int, children))
    return Sample(time.time(), cpu_s, resident)
