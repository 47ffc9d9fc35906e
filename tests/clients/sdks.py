"""Runs the SDKs of sdk/: each script sends one visit and ends when its SDK says that all has been sent."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SDK = Path(__file__).parent / "sdk"
PYTHON = ROOT / ".cache" / "clients" / "venv" / "bin" / "python"
NODE_MODULES = ROOT / ".cache" / "clients" / "node" / "node_modules"
RUN_TIMEOUT_S = 110.0


def run_sdk(script: str, *, url: str, write_key: str, visitor: str, user: str, **more: str) -> None:
    """Run one script to its end."""
    path = SDK / script
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "HOME": str(Path.home()), "AVERT": url, "WRITE_KEY": write_key,
        "ANONYMOUS_ID": visitor, "USER_ID": user, **more,
    }
    if path.suffix == ".py":
        command = [str(PYTHON), str(path)]
    else:
        # Node looks for modules beside the script: it runs from where they are.
        copied = NODE_MODULES.parent / script
        copied.write_bytes(path.read_bytes())
        command = ["node", str(copied)]
    done = subprocess.run(
        command, check=False, env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S
    )
    assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
