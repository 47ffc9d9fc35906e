"""The totals as the running system knows them."""

from __future__ import annotations

import subprocess
import sys

import msgspec

from streams.impact.model import OutcomeTotals


def test_whoever_publishes_totals_does_not_load_the_statistics() -> None:
    code = "import sys, streams.impact.model; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_squares_beyond_64_bits_stay_exact() -> None:
    squared = (10**12 + 1) ** 2 * 10**6
    one = OutcomeTotals(visitors=1, count=1, micros=10**12 + 1, micros_squared=squared)
    assert msgspec.json.decode(msgspec.json.encode(one), type=OutcomeTotals).micros_squared == squared
