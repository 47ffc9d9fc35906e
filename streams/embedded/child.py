"""One supervised child process on a leased loopback port: started, asked until it answers, ended by its pid.

1. A port is leased before the child starts and for as long as it may be restarted: the lease is a bound socket
   that does not listen, so the kernel gives the number to nobody else, while the child (whose servers set
   SO_REUSEADDR, as ours does) may bind it.
2. A child must not outlive its parent: the kernel ends it on Linux; everywhere `atexit` does.
3. A child is in a process group of its own: the terminal's Ctrl-C reaches the parent only, which ends its
   children in the right order.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streams.errors import AvertError

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_S = 0.02  # between two questions to a starting server: short beside the 50 ms that one takes at best
PROBE_TIMEOUT_S = 2.0
LOG_TAIL_CHARS = 600  # of a dead child's log, for the error's one line: enough for its last words


class ChildError(AvertError):
    """A supervised process did not start, or is gone."""

    reason = "child"
    exit_code = 7


class PortLease:
    """A loopback port that is ours until `release`, whether a child listens on it at the moment or not."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise ChildError(f"127.0.0.1:{port} is taken: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()  # BSD lets nobody bind it besides us; the lease is then a hint

    def release(self) -> None:
        """Give the port back."""
        self._socket.close()


_running: weakref.WeakSet[Child] = weakref.WeakSet()


class Child:
    """A program, its log file, and whether it runs. Start it from a thread that lives as long as the child."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.restarts = 0
        self._argv = list(argv)
        self._environment = dict(environment) if environment is not None else None
        self._directory = directory or log_path.parent
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: by that signal), or None while it runs or before it was started."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process; `wait_until` says when it answers."""
        command = [sys.executable, "-I", str(LAUNCHER), str(os.getpid()), str(int(self._death_signal)), *self._argv]
        with self.log_path.open("ab") as log_file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log_file, stderr=subprocess.STDOUT,
                env=self._environment, cwd=self._directory, process_group=0,
            )
        _running.add(self)

    def wait_until(self, answers: Callable[[], bool], timeout_s: float) -> None:
        """Ask until it answers. Raises ChildError with the log's last words when it ends or the time is up."""
        deadline = time.monotonic() + timeout_s
        while not answers():
            self.check()
            if time.monotonic() > deadline:
                raise ChildError(f"{self.name} did not answer within {timeout_s:g} s; {self.last_words()}")
            time.sleep(POLL_S)
        self.check()  # what answered must have been this child

    def check(self) -> None:
        """Raise ChildError if it has ended."""
        code = self.exit_code
        if code is not None:
            raise ChildError(f"{self.name} ended with {describe_exit(code)}; {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log on one line, and where the rest is."""
        text = self.log_path.read_text(errors="replace")[-LOG_TAIL_CHARS:] if self.log_path.exists() else ""
        words = " ".join(text.split())
        return f"its log ({self.log_path}) ends: {words}" if words else f"its log ({self.log_path}) is empty"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, timeout_s: float = 5.0) -> None:
        """SIGTERM, and SIGKILL after `timeout_s`; afterwards it is gone. Its own children go with its group."""
        process = self._process
        if process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it forked and left behind
        _running.discard(self)

    def kill(self) -> None:
        """SIGKILL, as a crash would be; afterwards it is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()


@atexit.register
def _stop_all() -> None:
    for child in list(_running):
        child.stop(timeout_s=1.0)


def describe_exit(code: int) -> str:
    """``exit code 3`` or ``SIGKILL``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def kafka_answers(port: int) -> bool:
    """True when a Kafka broker on loopback answers an ApiVersions request (version 0; kafka.apache.org/protocol)."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    answer = _ask(port, struct.pack(">i", len(request)) + request, 8)
    return len(answer) == 8 and struct.unpack(">ii", answer)[1] == 1  # size, our correlation id


def redis_answers(port: int) -> bool:
    """True when a Redis server on loopback answers PING."""
    return _ask(port, b"PING\r\n", 5) == b"+PONG"


def _ask(port: int, question: bytes, answer_bytes: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            connection.sendall(question)
            answer = b""
            while len(answer) < answer_bytes:
                piece = connection.recv(answer_bytes - len(answer))
                if not piece:
                    break
                answer += piece
            return answer
    except OSError:
        return b""
