"""`avert worker --processes 2`, settings from the environment. Run by `support.WorkerProcess`."""

from __future__ import annotations

import sys

from streams.settings import load_settings
from streams.worker.processes import supervise

if __name__ == "__main__":
    sys.exit(supervise(load_settings(), 2))
