"""The whole of it on this machine: it serves, survives the death of its parts, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded.child import ChildError
from streams.embedded.local import Local, answers
from streams.settings import Settings
from tests.support.pids import children_of, gone
from tests.support.waiting import wait_for

RULES = Path(__file__).resolve().parents[2] / "rules"
SETTINGS = Settings(rules_dir=RULES, partitions=2)


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(SETTINGS) as running:
        yield running


def suggested(local: Local) -> list[str]:
    """What somebody gets who pastes the line. Of twenty visitors three are in a control group: a few tries."""
    for _ in range(12):
        pasted = subprocess.run(["/bin/sh", "-c", local.curl_line()], stdout=subprocess.PIPE, check=True)
        answer = json.loads(pasted.stdout)
        if answer.get("suggestions"):
            return [suggestion["rule"] for suggestion in answer["suggestions"]]
    return []


def test_pasted_line_makes_a_visitor_who_gets_a_suggestion(local: Local) -> None:
    assert suggested(local) == ["search-dead-end"]


@pytest.mark.parametrize("name", ["cache", "api", "worker", "broker"])
def test_killed_part_is_started_again_and_the_pipeline_works(local: Local, name: str) -> None:
    before = local.pid(name)
    os.kill(before, signal.SIGKILL)

    def works_again() -> bool:
        local.supervise()
        ready = answers(f"{local.worker_url}/readyz") and answers(f"{local.api_url}/readyz")
        return local.pid(name) not in (None, before) and ready

    wait_for(works_again, "the pipeline works again")
    assert suggested(local) == ["search-dead-end"]


def test_keys_are_for_the_owner_only(local: Local) -> None:
    assert local.settings.keys_file.stat().st_mode & 0o077 == 0


def test_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match="no rule files in"):
        Local(Settings(rules_dir=tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything_within_ten_seconds(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "streams.cli", "up", "--rules", str(RULES)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Ctrl-C"):
            break
    children = children_of(process.pid)
    assert len(children) == 4
    process.send_signal(number)
    assert process.wait(10) == 0
    assert not [pid for pid in children if not gone(pid)]
