"""The embedded Kafka broker: one KRaft node that is its own controller, on loopback.

Writes its configuration and gives its command; the supervisor runs it.
"""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ComponentFailed
from contracts.record_sizes import DEAD_LETTER_TOPIC_BYTES
from contracts.settings import Kafka
from operations.embedded.jvm import java_command, write_log_configuration

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
# Topics are made by the pipeline, with their partitions and retention: a misspelt name must fail.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
# Readers wait for a producer's open transaction: no longer than this, which is looked at every second.
transaction.max.timeout.ms=60000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
# The topic of the largest records is the one of dead letters.
message.max.bytes={largest_bytes}
replica.fetch.max.bytes={largest_bytes}
log.segment.bytes=134217728
log.retention.check.interval.ms=60000
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=1
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
# A broker that was killed comes back under its own id only when the session of the one before has ended: all of this
# time nothing is produced or read. Fenced for a pause that is longer, it is back with its next heartbeat, in 2 s.
broker.session.timeout.ms=9000
"""


def _properties_text(*, port: int, controller_port: int, logs: Path) -> str:
    return _PROPERTIES.format(
        port=port, controller_port=controller_port, logs=_escaped(logs), largest_bytes=DEAD_LETTER_TOPIC_BYTES
    )


def broker_properties(*, port: int, controller_port: int, logs: Path) -> dict[str, str]:
    """The broker's configuration, by Kafka's own keys."""
    text = _properties_text(port=port, controller_port=controller_port, logs=logs)
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key: value for key, _, value in pairs}


@dataclass(frozen=True)
class Broker:
    """The broker of one state folder. `folder` holds its configuration and its log segments."""

    folder: Path
    java: Path
    jars: tuple[Path, ...]
    settings: Kafka
    port: int
    controller_port: int

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def prepare(self) -> None:
        """Writes the configuration and, the first time, formats the log folder.

        Raises ComponentFailed where Kafka's own tool refuses.
        """
        logs = self.folder / "logs"
        self.folder.mkdir(parents=True, exist_ok=True)
        text = _properties_text(port=self.port, controller_port=self.controller_port, logs=logs)
        self._properties.write_text(text, encoding="ascii")
        write_log_configuration(
            self.folder / "log4j2.properties",
            component="kafka",
            quiet=("kafka", "org.apache.kafka"),
        )
        if not (logs / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        tool = self._java("kafka.tools.StorageTool", "format", "-t", _new_cluster_id(), "-c", str(self._properties))
        done = subprocess.run(tool, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise ComponentFailed(f"Kafka could not format {self.folder / 'logs'}: {done.stdout}{done.stderr}".strip())

    def command(self) -> tuple[str, ...]:
        """The command that runs the broker in the foreground."""
        return self._java("kafka.Kafka", str(self._properties))

    def _java(self, main_class: str, *arguments: str) -> tuple[str, ...]:
        heap = self.settings.heap_mb
        return java_command(
            self.java,
            main_class=main_class,
            classpath=self.jars,
            options=(
                f"-Xms{heap // 2}m",
                f"-Xmx{heap}m",
                "-XX:MaxDirectMemorySize=128m",
                f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            ),
            arguments=arguments,
        )


def _new_cluster_id() -> str:
    """A random id as Kafka's own `Uuid.randomUuid` makes one: 22 characters of base64, none of them a dash in front.

    Kafka's tools read a dash in front as an option: one id in 64 would end the first start.
    """
    while True:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def _escaped(path: Path) -> str:
    """As Java reads a property: Latin-1, and all else as escaped UTF-16."""
    units = str(path).replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes)
