"""The compiled core beside the one as it is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streams.core import build
from tests.core.digest import digest


def test_both_give_the_same_rows_effects_and_versions_to_the_byte():
    """Where nothing is compiled, two processes are compared: then only the seeds of hashes differ."""
    written = subprocess.run(
        [sys.executable, "-m", "tests.core.digest"], cwd=Path(__file__).parents[2], capture_output=True, check=True,
        text=True,
    ).stdout.split()  # fmt: skip
    kind, found = digest().split()
    assert written == ["python", found]
    assert kind == build()
