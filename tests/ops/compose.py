"""docker-compose.yml, .env.example and the Dockerfile, read; and the image's build without Docker."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.ops.tools import ROOT, read_yaml

COMPOSE = read_yaml(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::?([-?])([^}]*))?\}")
CONTAINER = Path(__file__).parent / "container.sh"
_BUILD_S_MAX = 600.0  # sixty packages, over whatever line there is
_DEVICES = ("null", "zero", "random", "urandom")


def interpolated(text: str, given: dict[str, str] | None = None) -> str:
    """`text` as compose sees it, with the values of .env.example and `given`, else the defaults in the file."""
    values = {**dotenv(), **(given or {})}
    return VARIABLE.sub(lambda m: values.get(m[1]) or (m[3] if m[2] == "-" else "") or "", text)


def dotenv() -> dict[str, str]:
    """.env.example as variables."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def own_services() -> list[str]:
    """The services that run our image."""
    return [name for name, service in SERVICES.items() if "build" in service]


def stage(name: str) -> list[tuple[str, str]]:
    """(instruction, arguments) of one stage of the Dockerfile, in their order."""
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#")))
    found = re.search(rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", joined, re.MULTILINE | re.DOTALL)
    assert found, name
    return [tuple(line.split(" ", 1)) for line in found[1].splitlines() if line]


class Image(NamedTuple):
    """What the stage `run` of the Dockerfile says, and what stands for its files on this machine."""

    environment: dict[str, str]
    entrypoint: list[str]
    healthcheck: list[str]
    binds: list[str]
    links: str

    @classmethod
    def of(cls, venv: Path) -> Image:
        """The image whose /opt/avert is `venv`."""
        said = dict(stage("run"))
        path = {"PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
        variables = dict(word.split("=", 1) for word in shlex.split(said["ENV"]))
        variables["PATH"] = variables["PATH"].replace("$PATH", path["PATH"])
        healthcheck = said["HEALTHCHECK"].split("CMD ", 1)[1]
        return cls(
            variables, json.loads(said["ENTRYPOINT"]), json.loads(healthcheck),
            [*system_binds(), f"{venv}:/opt/avert"], system_links(),
        )


def system_binds() -> list[str]:
    """What stands for the base image: this machine's libraries and Python, and the harmless devices."""
    return [
        "/usr:/usr", *(f"/dev/{name}:/dev/{name}:rw" for name in _DEVICES),
        *([] if sys.base_prefix.startswith("/usr") else [f"{sys.base_prefix}:{sys.base_prefix}"]),
    ]


def system_links() -> str:
    """/bin and the like, where they are links."""
    names = [name for name in ("bin", "sbin", "lib", "lib64") if Path("/", name).is_symlink()]
    return " ".join(f"usr/{name}:/{name}" for name in names)


def build(folder: Path) -> Path:
    """Run the stage `build`, command by command, as it stands in the Dockerfile. Returns what /opt/avert is then.

    Each RUN sees the base (this machine's, read-only), and /src, /wheels, /opt/avert as its own. pip's settings are
    those of this machine, as an engine's build would have those of its own.
    """
    source, base = folder / "src", folder / "base"
    venv = folder / "avert"
    for made in (source, folder / "wheels", venv):
        made.mkdir()
    subprocess.run([sys.executable, "-m", "venv", base], check=True)
    binds = [
        *system_binds(), "/etc:/etc", f"{base}:/base:rw", f"{source}:/src:rw", f"{folder / 'wheels'}:/wheels:rw",
        f"{venv}:/opt/avert:rw",
    ]
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT_"))}
    for number, (instruction, arguments) in enumerate(stage("build")):
        if instruction == "COPY":
            _copy(arguments, source)
        elif instruction == "RUN":
            root = folder / f"build{number}"
            root.mkdir()
            variables = passed | {"PATH": f"/base/bin:{os.defpath}", "HOME": "/tmp"}
            words = [f"{name}={value}" for name, value in variables.items()]
            done = subprocess.run(
                ["unshare", "--user", "--map-root-user", "--mount", CONTAINER, root, "0:0", "env", "--chdir=/src",
                 *words, "sh", "-c", arguments],
                env={"PATH": os.environ["PATH"], "BINDS": " ".join(binds), "LINKS": system_links(),
                     "TMPFS": "/tmp:size=2g,mode=1777"},
                capture_output=True, text=True, check=False, timeout=_BUILD_S_MAX,
            )  # fmt: skip
            assert done.returncode == 0, f"RUN {arguments}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return venv


def _copy(arguments: str, source: Path) -> None:
    *names, to = arguments.split()
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / to, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, source / to)
