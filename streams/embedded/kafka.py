"""Apache Kafka (KRaft) on loopback, from the jars that ``make kafka-libs`` fetched: one node, or a cluster of three.

For development and for the tests of crashes and rebalances. Needs Java 17 or later. As a script it runs one node in
the foreground: ``python -m streams.embedded.kafka [--port 9092]``.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Self

from streams.embedded.child import ChildError, PortLease, kafka_answers
from streams.embedded.server import FOREIGN_ENVIRONMENT, Server

ROOT = Path(__file__).resolve().parents[2]
LIBS = ROOT / ".cache" / "kafka" / "libs"
POM = ROOT / "kafka" / "pom.xml"
HEAP = "-Xmx1g"
CLUSTER_HEAP = "-Xmx512m"  # three of them on one development machine
CLUSTER_NODES = 3

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
# Of every topic, the internal ones too. One node can replicate nothing.
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
# Few internal partitions: they are created, and loaded again after a crash, one by one.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=2
share.coordinator.state.topic.num.partitions=2
# A test's group should not wait for members that are not coming.
group.initial.rebalance.delay.ms=0
# Avert creates its topics itself; a mistyped name should not.
auto.create.topics.enable=false
"""


def fetch_libs() -> Path:
    """Bring the jars from Maven Central into .cache/kafka/libs if they are not there. Returns the folder."""
    if any(LIBS.glob("kafka_2.13-*.jar")):
        return LIBS
    maven = shutil.which("mvn")
    if maven is None:
        raise ChildError("Apache Kafka's jars are not here and there is no mvn to fetch them: apt-get install maven")
    fetched = subprocess.run(
        [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"],
        capture_output=True, text=True, check=False,
    )
    if fetched.returncode != 0:
        raise ChildError(f"mvn could not fetch Apache Kafka: {' '.join(fetched.stdout.split())[-400:]}")
    return LIBS


class KafkaNode(Server):
    """A node with a data folder of its own. `kill` and `start` again is a broker's crash: data and port stay."""

    name = "Apache Kafka"
    start_timeout_s = 180.0  # about 6 s on an idle machine; a minute was seen on one with ten times the work it can do
    stop_timeout_s = 20.0

    def __init__(self, port: int = 0, libs: Path = LIBS, data: Path | None = None, heap: str = HEAP) -> None:
        """`data`: another folder for the log than one of its own; it is left as it is at the end."""
        super().__init__(port)
        self._libs = libs
        self._data = data or self.directory / "data"
        self._heap = heap
        self._leases.append(PortLease())  # the controller's
        self.join([self], cluster_id())

    @property
    def controller_port(self) -> int:
        """Where the node's controller listens."""
        return self._leases[1].port

    def join(self, nodes: list[KafkaNode], cluster: str) -> None:
        """Be one of `nodes` (of which this is one), in the cluster of that id. Before the first start."""
        self.node_id = nodes.index(self) + 1
        self._cluster = cluster
        self._voters = ",".join(f"{id_}@127.0.0.1:{node.controller_port}" for id_, node in enumerate(nodes, 1))
        self._replicas = len(nodes)

    def command(self) -> list[str]:
        """Format the data folder, and the command line that starts the node on it."""
        properties = self.directory / "server.properties"
        properties.write_text(PROPERTIES.format(
            node=self.node_id, voters=self._voters, port=self.port, controller_port=self.controller_port,
            data=self._data, replicas=self._replicas, in_sync=max(1, self._replicas - 1),
        ))
        formatted = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", self._cluster, "-c", str(properties)),
            capture_output=True, text=True, check=False, env=FOREIGN_ENVIRONMENT,
        )
        if formatted.returncode != 0:
            words = " ".join(formatted.stderr.split())[-400:]
            raise ChildError(f"Apache Kafka's folder could not be formatted: {words}")
        return self._java("kafka.Kafka", str(properties))

    def answers(self) -> bool:
        """An ApiVersions request is answered."""
        return kafka_answers(self.port)

    def _java(self, *arguments: str) -> list[str]:
        java = shutil.which("java")
        if java is None:
            raise ChildError("Apache Kafka needs Java 17 or later: apt-get install default-jre-headless")
        return [java, self._heap, "-Dlog4j2.level=WARN", "-cp", f"{self._libs}/*", *arguments]


def cluster_id() -> str:
    """A new one: 16 bytes in URL-safe base64. It must not begin with "-", which would be an option to Kafka's tools."""
    first, *others = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes((first & 0x7F, *others))).decode().rstrip("=")


class KafkaCluster:
    """Nodes that replicate everything to each other; a write needs all but one of them. A context manager."""

    def __init__(self, libs: Path = LIBS, nodes: int = CLUSTER_NODES) -> None:
        self.nodes = [KafkaNode(libs=libs, heap=CLUSTER_HEAP) for _ in range(nodes)]
        cluster = cluster_id()
        for node in self.nodes:
            node.join(self.nodes, cluster)

    @property
    def address(self) -> str:
        """All nodes, for a client's bootstrap."""
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        """Start all; none answers before most of them run."""
        try:
            for node in self.nodes:
                node.child.start()
            for node in self.nodes:
                node.child.wait_until(node.answers, node.start_timeout_s)
        except BaseException:  # also when it is interrupted: no node is left behind
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all."""
        self.stop()

    def stop(self) -> None:
        """End all nodes and remove their folders."""
        for node in self.nodes:
            node.stop()


def main(arguments: list[str]) -> int:
    """Run one node in the foreground until Ctrl-C or SIGTERM."""
    if arguments == ["--fetch"]:
        sys.stdout.write(f"{fetch_libs()}\n")
        return 0
    port = int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else 9092
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with KafkaNode(port, fetch_libs()) as node:
            sys.stdout.write(f"Apache Kafka on {node.address}, its data in {node.directory}; Ctrl-C ends both\n")
            sys.stdout.flush()
            while not ended.wait(0.5):
                node.child.check()
    except ChildError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
