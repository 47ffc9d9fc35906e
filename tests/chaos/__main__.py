"""All faults, or a few: ``python -m tests.chaos [--short] [pytest arguments]``.

Most of a fault's time is waiting, for outages and session timeouts. So the tests run in a few sessions beside each
other, each with brokers of its own; their lines make one report. The exit code is 0 when all have passed. Options of
pytest (``--last-failed``) go to every session; with paths there is one session, with these.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.chaos.report import LINES, ROOT

FILES = Path(__file__).parent
SESSIONS = (
    ("test_kills.py",),
    ("test_workers.py", "test_clock.py"),
    ("test_broker.py",),
    ("test_data.py", "test_garbage.py"),
    ("test_cache.py", "test_recovery.py"),
)
REPORTS = {"all": FILES / "REPORT.md", "short": ROOT / ".cache" / "chaos" / "REPORT.md"}
MARKS = {"all": "kafka", "short": "kafka and not slow"}
NOTHING_FOUND = 5  # pytest's exit code: of this session nothing is in the short run


def session(which: str, paths: list[str], options: list[str]) -> subprocess.Popen[bytes]:
    """One test session, started."""
    own = ["--chaos-report", str(REPORTS[which]), "-o", f"cache_dir=.cache/chaos/{Path(paths[0]).stem}"]
    return subprocess.Popen([sys.executable, "-m", "pytest", "-m", MARKS[which], *own, *options, *paths], cwd=ROOT)


def main(arguments: list[str]) -> int:
    """Run the sessions; the first exit code that is not 0."""
    which = "short" if "--short" in arguments else "all"
    options = [argument for argument in arguments if argument.startswith("-") and argument != "--short"]
    paths = [argument for argument in arguments if not argument.startswith("-")]
    if "--last-failed" in options:
        options += ["--last-failed-no-failures", "none"]
    elif not paths:
        shutil.rmtree(LINES / REPORTS[which].parent.name, ignore_errors=True)
    if paths:
        return session(which, paths, options).wait()
    others = [str(folder) for folder in sorted((ROOT / "tests").iterdir()) if folder.is_dir() and folder != FILES]
    started = [session(which, [str(FILES / name) for name in files], options) for files in SESSIONS]
    codes = [one.wait() for one in started]
    # The other tests that need Apache Kafka, afterwards: some of them measure what these would disturb.
    codes.append(session(which, others, options).wait())
    return next((code for code in codes if code not in (0, NOTHING_FOUND)), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
