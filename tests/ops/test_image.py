"""The image, built and run without Docker: the Dockerfile's commands, then the compose file's services (see pod.py).

It downloads what the image is made of and takes a minute or two: `make image`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.embedded.local import LocalKeys
from tests.ops.compose import SERVICES, build, own_services
from tests.ops.tools import ROOT

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]
_POD_S_MAX = 300.0
DENIED = "Read-only file system"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def seen(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("pod")
    LocalKeys().save(folder / "keys.json")
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, "-m", "tests.ops.pod"]
    done = subprocess.run(
        [*command, str(folder), str(image)], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=_POD_S_MAX,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nothing_is_healthy_before_it_runs(seen: dict[str, Any]) -> None:
    assert seen["healthy before the start"] == {"worker": False, "api": False}


def test_both_services_become_healthy(seen: dict[str, Any]) -> None:
    assert seen["healthy"] == {"worker": True, "api": True}, seen["logs"]


@pytest.mark.parametrize("service", own_services())
def test_a_container_is_nobody_and_can_write_to_tmp_only(seen: dict[str, Any], service: str) -> None:
    inside = seen["inside"][service]
    assert inside["user"] == SERVICES[service]["user"]
    assert int(inside["capabilities"], 16) == 0
    assert inside["no_new_privileges"] == "1"
    assert inside["writable"] == {"/": DENIED, "/opt/avert": DENIED, "/rules": DENIED, "/usr": DENIED, "/tmp": True}
    assert inside["installers"] == []


def test_an_event_goes_all_the_way(seen: dict[str, Any]) -> None:
    assert seen["event"]["accepted"] == 1
    assert seen["event"]["processed"] is True


def test_metrics_are_where_prometheus_looks(seen: dict[str, Any]) -> None:
    assert min(seen["metrics"].values()) > 100


def test_the_doctor_of_the_start_page_finds_nothing_wrong(seen: dict[str, Any]) -> None:
    assert seen["doctor"]["code"] == 0, seen["doctor"]["said"]


def test_services_stop_as_asked(seen: dict[str, Any]) -> None:
    assert seen["exit codes"] == {"api": 0, "worker": 0}, seen["logs"]


def test_the_image_holds_what_its_lock_says_and_nothing_else(image: Path) -> None:
    installed = {path.name.split("-")[0].lower() for path in (image / "lib").glob("*/site-packages/*.dist-info")}
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements-run.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert "avert" in installed
    assert installed <= {"avert", *(name.lower().replace("-", "_").replace(".", "_") for name in locked)} | {
        name.lower() for name in locked
    }
