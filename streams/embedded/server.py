"""A foreign server as a child: a leased port, a folder of its own, started until it answers, ended without a trace."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from streams.embedded.child import Child, PortLease

# What a foreign server may see of our environment: where programs are, and nothing else.
FOREIGN_ENVIRONMENT = {"PATH": os.defpath}


class Server(ABC):
    """One server on loopback. `kill` and then `start` is a crash and a restart: the port stays.

    Its folder (log, and data if it keeps any) is removed by `stop`. Start it from a thread that lives as long.
    """

    name = "server"
    start_timeout_s = 20.0  # seconds on a busy machine; tens of milliseconds on an idle one
    stop_timeout_s = 5.0

    def __init__(self, port: int = 0) -> None:
        self._leases = [PortLease(port)]
        self.port = self._leases[0].port
        self.directory = Path(tempfile.mkdtemp(prefix="avert-"))
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    @property
    def child(self) -> Child:
        """The server's process; made (not started) at the first use."""
        if self._child is None:
            log_path = self.directory / "server.log"
            self._child = Child(self.name, self.command(), log_path, environment=FOREIGN_ENVIRONMENT)
        return self._child

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments; whatever it needs in `directory` has been written."""

    @abstractmethod
    def answers(self) -> bool:
        """True when it can be used."""

    def start(self) -> Self:
        """Start and return when it answers. Raises ChildError with its last words when it does not."""
        self.child.start()
        self.child.wait_until(self.answers, self.start_timeout_s)
        return self

    def kill(self) -> None:
        """SIGKILL."""
        self.child.kill()

    def stop(self) -> None:
        """End it and remove its folder. Once stopped, it cannot be started again."""
        if self._child is not None:
            self._child.stop(self.stop_timeout_s)
        for lease in self._leases:
            lease.release()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        try:
            return self.start()
        except BaseException:  # also when it is interrupted: nothing is left behind
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
