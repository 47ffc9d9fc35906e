"""A process of its own that assesses: totals as JSON on standard input, `Assessed` as JSON on standard output.

For the API, whose loop must not share its interpreter with seconds of arithmetic, and which needs numpy and scipy for
nothing else. At the lowest priority: pages go first.
"""

from __future__ import annotations

import os
import sys
import time

import msgspec

from streams.impact.assess import assess
from streams.impact.figures import Assessed, figures_of
from streams.impact.model import Totals

NICE = 19


def assessed(raw: bytes) -> bytes:
    """Totals in, figures out. Raises msgspec.DecodeError."""
    rules = figures_of(assess(msgspec.json.decode(raw, type=Totals)))
    return msgspec.json.encode(Assessed(time.process_time(), rules))


if __name__ == "__main__":
    os.nice(NICE)
    sys.stdout.buffer.write(assessed(sys.stdin.buffer.read()))
