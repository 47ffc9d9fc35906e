"""A worker process on the small engine; settings from the environment, as always. Run by `support.WorkerProcess`."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from streams.settings import load_settings
from streams.telemetry import configure_logs
from streams.worker.main import run_worker
from tests.worker.small import SMALL

if __name__ == "__main__":
    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
    if "WORKER_VERBOSE" in os.environ:  # Faust and aiokafka tell every step of a rebalance
        logging.getLogger().setLevel(logging.INFO)
    sys.exit(uvloop.run(run_worker(settings, machine=SMALL)))
