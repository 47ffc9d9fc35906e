"""One Apache Kafka node (KRaft, broker and controller) on loopback, from the jars that ``make kafka-libs`` fetched.

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

from streams.embedded.child import ChildError, PortLease, kafka_answers
from streams.embedded.server import FOREIGN_ENVIRONMENT, Server

ROOT = Path(__file__).resolve().parents[2]
LIBS = ROOT / ".cache" / "kafka" / "libs"
POM = ROOT / "kafka" / "pom.xml"
HEAP = "-Xmx1g"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
# One node: nothing can be replicated.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
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
    fetched = subprocess.run(  # noqa: S603  # our own argument list, no shell
        [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"],
        capture_output=True, text=True, check=False,
    )
    if fetched.returncode != 0:
        raise ChildError(f"mvn could not fetch Apache Kafka: {' '.join(fetched.stdout.split())[-400:]}")
    return LIBS


class KafkaNode(Server):
    """A node with a data folder of its own. `kill` and `start` again is a broker's crash: data and port stay."""

    name = "Apache Kafka"
    start_timeout_s = 60.0  # about 6 s on an idle machine
    stop_timeout_s = 20.0

    def __init__(self, port: int = 0, libs: Path = LIBS) -> None:
        super().__init__(port)
        self._libs = libs
        self._leases.append(PortLease())  # the controller's

    def command(self) -> list[str]:
        """Format the data folder, and the command line that starts the node on it."""
        properties = self.directory / "server.properties"
        properties.write_text(PROPERTIES.format(
            port=self.port, controller_port=self._leases[1].port, data=self.directory / "data",
        ))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        formatted = subprocess.run(  # noqa: S603  # our own argument list, no shell
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
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
        return [java, HEAP, "-Dlog4j2.level=WARN", "-cp", f"{self._libs}/*", *arguments]


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
