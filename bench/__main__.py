"""Every benchmark, one after the other; then `bench/results.json` and `bench/RESULTS.md`.

``python -m bench [--only jobs,curve,...] [--quick] [--render]``. About an hour and a half on an idle machine. A part
keeps its last result in .cache/bench/results, so that `--only` renews some and leaves the others; `--quick` sees in
minutes whether everything works, and writes nothing; `--render` measures nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench._peers import CACHE
from bench._processes import ROOT
from bench._report import load_average, machine, say
from bench._results import render

KEPT = CACHE / "results"
_BENCH = ROOT / "bench"

# name: (module, arguments, arguments of a quick look)
PARTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "jobs": ("jobs", (), ("--events", "60000", "--runs", "1")),
    "jobs_latency": ("jobs_latency", (), ("--runs", "1", "--seconds", "3", "--jobs", "count")),
    "worker": (
        "worker", ("--rules", "50", "--faust-events", "60000", "--turns", "3"),
        ("--rules", "50", "--events", "30000", "--faust-events", "6000"),
    ),
    "worker_every_kind": ("worker", ("--every-kind", "--turns", "2"), ("--every-kind", "--events", "30000")),
    "curve": ("curve", (), ("--events", "30000", "--runs", "1", "--partitions", "1,4")),
    "stages": ("stages", (), ("--events", "30000")),
    "stages_count": ("stages", ("--job", "count", "--events", "1000000"), ("--job", "count", "--events", "30000")),
}  # fmt: skip


def parts() -> dict[str, tuple[str, tuple[str, ...], tuple[str, ...] | None]]:
    """Those above, and every other benchmark of this folder as it comes."""
    named = {module for module, _, _ in PARTS.values()}
    others = sorted(path.stem for path in _BENCH.glob("*.py") if not path.stem.startswith("_"))
    return {**PARTS, **{name: (name, (), None) for name in others if name not in named}}


def run(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """One benchmark; what it says is passed on, its last line is the result. Raises CalledProcessError."""
    began, load, clock = datetime.now(UTC), load_average(), time.monotonic()
    command = [sys.executable, "-m", f"bench.{module}", *arguments]
    last = ""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if last:
                say(last)
            last = line.rstrip("\n")
    if process.returncode:
        say(last)
        raise subprocess.CalledProcessError(process.returncode, command)
    return described(json.loads(last), began, load, (time.monotonic() - clock) / 60)


def described(result: dict[str, Any], began: datetime, load_before: float, minutes: float) -> dict[str, Any]:
    """A result with where and when it was come by."""
    return {
        "began": began.strftime("%Y-%m-%d %H:%M"), "minutes": round(minutes, 1), "load_before": load_before,
        "load_after": load_average(), "commit": _said("git", "rev-parse", "--short", "HEAD"),
        "machine": machine(), "java": _said("java", "--version").partition("\n")[0], "result": result,
    }  # fmt: skip


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "unknown"
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write(folder: Path = _BENCH) -> None:
    """results.json and RESULTS.md from what is kept, in the order of the benchmarks."""
    order = list(parts())
    kept = sorted(KEPT.glob("*.json"), key=lambda path: _place(path.stem, order))
    found = {path.stem: json.loads(path.read_text()) for path in kept}
    (folder / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(render(found))
    say(f"written: {folder / 'RESULTS.md'}")


def _place(name: str, order: list[str]) -> tuple[int, str]:
    """`NAME@WHATEVER` stands behind NAME."""
    plain = name.partition("@")[0]
    return (order.index(plain) if plain in order else len(order)), name


def main() -> int:
    """Run, keep, write; 1 when a benchmark failed (its result of before stays)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="some of: " + ", ".join(parts()))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args()
    every = parts()
    wanted = options.only.split(",") if options.only else list(every)
    if unknown := set(wanted) - set(every):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    KEPT.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in [] if options.render else wanted:
        module, arguments, quick = every[name]
        if options.quick and quick is None:
            say(f"--- {name} has no quick look")
            continue
        say(f"--- {name}")
        try:
            result = run(module, (quick or ()) if options.quick else arguments)
        except (subprocess.CalledProcessError, json.JSONDecodeError) as error:
            say(f"{name} failed: {error}")
            failed.append(name)
            continue
        if not options.quick:
            (KEPT / f"{name}.json").write_text(json.dumps(result))
    if not options.quick:
        write()
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
