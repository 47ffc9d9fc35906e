"""A collector for clients to talk to: the real program, on a real broker, with keys that the clients know."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streams.embedded.child import Child, PortLease
from streams.embedded.local import answers
from streams.keys import Keys, TokenSecret, WriteKey
from streams.settings import Settings, settings_environment

SERVER_KEY = "sk_of_the_clients_tests"
START_TIMEOUT_S = 60.0
STOP_S = 15.0
NO_LIMIT = 100_000  # requests a second: what is tested here are words, not rates


def save_keys(path: Path, write_keys: Sequence[WriteKey]) -> Path:
    """A keys file with these write keys."""
    keys = Keys(tuple(write_keys), (SERVER_KEY,), (), (TokenSecret("t", "the secret of the clients' tests"),))
    path.write_bytes(msgspec.json.encode(keys))
    return path


@contextmanager
def running_collector(settings: Settings, folder: Path) -> Iterator[Settings]:
    """The API as a process of its own, listening; its settings, with the port that it has."""
    leases = [PortLease(), PortLease()]
    settings = msgspec.structs.replace(
        settings, api_port=leases[0].port, metrics_port=leases[1].port, rate_per_visitor_per_s=NO_LIMIT,
        rate_per_address_per_s=NO_LIMIT, rate_per_key_per_s=NO_LIMIT,
    )
    environment = settings_environment(settings) | {"PATH": os.defpath, "HOME": str(Path.home())}
    child = Child(
        "the API", [sys.executable, "-m", "streams.cli", "api"], folder / "api.log", environment=environment
    )
    child.start()
    try:
        child.wait_until(lambda: answers(f"http://127.0.0.1:{settings.api_port}/readyz"), START_TIMEOUT_S)
        yield settings
    finally:
        child.stop(STOP_S)
        for lease in leases:
            lease.release()
