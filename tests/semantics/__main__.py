"""``python -m tests.semantics FILE``: each case of a file of neutral complex-event cases, on the real engine.

A line a case: ``passed``, ``failed`` with what was expected and what came, ``inexpressible`` with the reason; last a
summary as JSON. Exit code 1 when a case failed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.semantics.compare import differs
from tests.semantics.neutral import Inexpressible, read_pattern
from tests.semantics.play import play
from tests.semantics.translate import translate


class Verdict(NamedTuple):
    """What became of a case: passed, failed or inexpressible; and why."""

    result: str
    why: str = ""


def judge(case: dict[str, Any]) -> Verdict:
    """Run one case."""
    try:
        pattern = read_pattern(case["pattern"])
        firings = play(translate(pattern), case["events"], case["advance_to_ms"])
    except Inexpressible as reason:
        return Verdict("inexpressible", str(reason))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        return Verdict("failed", f"{type(error).__name__}: {error}")
    difference = differs(case, pattern, firings)
    return Verdict("passed") if difference is None else Verdict("failed", difference)


def main(arguments: list[str]) -> int:
    """Run the file that is named."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tests.semantics FILE\n")
        return 2
    cases = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))["cases"]
    summary = {"passed": 0, "failed": 0, "inexpressible": 0, "cases": len(cases)}
    for case in cases:
        verdict = judge(case)
        summary[verdict.result] += 1
        sys.stdout.write(f"{verdict.result:<14}{case['id']}" + (f": {verdict.why}" if verdict.why else "") + "\n")
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if summary["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
