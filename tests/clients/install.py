"""``python -m tests.clients.install``: the SDKs into .cache/clients, and the pages for the browser built of them.

Does nothing when what it would install is there already. Python's SDKs get an environment of their own, so that nothing
of theirs enters ours; Node's are what package-lock.json says.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.pages import BUILT, ROOT

HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "clients"
VENV, NODE = CACHE / "venv", CACHE / "node"
_PACKAGES = ("package.json", "package-lock.json")


def install_python() -> None:
    """The SDKs of requirements.txt in .cache/clients/venv."""
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)


def install_node() -> None:
    """The SDKs of package-lock.json in .cache/clients/node."""
    NODE.mkdir(parents=True, exist_ok=True)
    for name in _PACKAGES:
        shutil.copy(HERE / name, NODE / name)
    # --legacy-peer-deps: plugins of Snowplow's name older trackers than they work with.
    # `install`, not `ci`: with an exact lock it does the same, and bears optional packages of other platforms that are
    # not to be had.
    npm = ["npm", "install", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=NODE, check=True)


def build_pages() -> None:
    """One page for each SDK of web/, with the SDK in one file as bundlers make it."""
    BUILT.mkdir(parents=True, exist_ok=True)
    page = (HERE / "web" / "page.html").read_text()
    for source in (HERE / "web").glob("*.mjs"):
        entry = NODE / source.name.replace(".mjs", ".page.mjs")  # esbuild looks for modules beside its entry
        shutil.copy(source, entry)
        esbuild = [str(NODE / "node_modules" / ".bin" / "esbuild"), str(entry), "--bundle", "--format=esm"]
        subprocess.run(
            [*esbuild, "--log-level=error", "--define:process.env.NODE_ENV=\"production\"",
             f"--outfile={BUILT / source.stem}.js"],
            cwd=NODE, check=True,
        )
        (BUILT / f"{source.stem}.html").write_text(page.replace("SDK.js", f"{source.stem}.js"))


# What is done, and what it depends on: done again when that has changed.
STEPS = (
    (install_python, ("requirements.txt",)),
    (install_node, _PACKAGES),
    (build_pages, (*_PACKAGES, "web")),
)


def _state(names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in names:
        path = HERE / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Do each step whose inputs are not those of the last time."""
    for step, names in STEPS:
        stamp = CACHE / f".{step.__name__}"
        state = _state(names)
        if not stamp.exists() or stamp.read_text() != state:
            step()
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
