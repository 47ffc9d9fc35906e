"""The demo, small and short: it ends by itself, and its last line is what came out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_last_line_counts_what_came_out() -> None:
    command = [sys.executable, "-m", "streams.cli", "demo", "--seconds", "8", "--visitors", "60"]
    demo = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert demo.returncode == 0, demo.stderr
    *lines, last = demo.stdout.splitlines()
    result = json.loads(last)

    assert result["events"] > 833 + 100  # the recording, and people in the shop
    assert result["visitors"] > 60 + 30
    assert result["sessions"] > 63
    assert result["suggestions"] == result["decisions"]["suggested"] > 0
    assert result["decisions"]["control"] > 0
    assert result["outcomes"]["cart_abandoned"] > 0  # of the recorded sessions, which have ended
    assert result["anti_conversion_cost"] > 0
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert result["lag"] == 0
    assert set(result) == {
        "events", "visitors", "sessions", "suggestions", "decisions", "outcomes", "anti_conversion_cost",
        "dead_letters", "latency_ms", "lag",
    }
    assert any(line.strip().startswith("curl ") for line in lines)
    assert any(line.startswith("the shop, for you to click in: http://127.0.0.1:") for line in lines)
    assert any("memory only" in line for line in lines)
