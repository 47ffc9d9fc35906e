"""`avert up`: the local pipeline in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time

from streams.embedded.local import Local
from streams.embedded.shopfront import running_shop
from streams.embedded.stack import MEMORY_ONLY
from streams.settings import Settings

LOOK_S = 0.2  # between two looks at the processes


def run_up(settings: Settings, port: int) -> int:
    """Start, say where everything is, supervise; Ctrl-C or SIGTERM ends all of it. Raises ChildError."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    local = Local(settings, api_port=port, say=say)
    say(MEMORY_ONLY)
    started = False
    try:
        local.start()
        started = True
        with running_shop(local) as shop:
            say(description(local, shop.url))
            while True:
                time.sleep(LOOK_S)
                local.supervise()
    except KeyboardInterrupt:
        say("stopping ...")
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is being done
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if started:
            local.stop()


def description(local: Local, shop_url: str) -> str:
    """Addresses, keys, and the line that makes a visitor of whoever pastes it."""
    rows = {
        "demo shop": shop_url,
        "API": local.api_url,
        "Kafka": local.settings.kafka_bootstrap,
        "Redis": local.settings.redis_url,
        "metrics": f"{local.worker_url}/metrics  {local.api_metrics_url}/metrics",
        "logs": str(local.directory),
        "write key": local.keys.write,
        "server key": local.keys.server,
        "admin key": local.keys.admin,
    }
    listed = "\n".join(f"  {name:<12}{value}" for name, value in rows.items())
    become = f"become a visitor who searches in vain:\n\n  {local.curl_line()}"
    return f"ready\n{listed}\n\n{become}\n\nCtrl-C ends everything"


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
