"""A real broker of a test's own, with the pipeline's topics and without the pipeline."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.kafka_access import KafkaAccess
from contracts.settings import load_settings
from operations.embedded.broker import Broker
from operations.jars import kafka_jars
from operations.java import find_java
from operations.ports import free_ports
from operations.topics import create_topics


@dataclass
class RunningBroker:
    """A broker that can be killed and started again."""

    broker: Broker
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.broker.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.broker.command(), stdout=log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)


@contextmanager
def own_broker(folder: Path, **properties: str) -> Iterator[RunningBroker]:
    """Run a broker on free ports inside the block, with its files in `folder`.

    `properties` are further ones of Kafka's, with underscores for dots.
    """
    settings = load_settings().kafka
    made = Broker(folder / "kafka", find_java().executable, kafka_jars(), settings, *free_ports(2))
    made.prepare()
    with (made.folder / "server.properties").open("a", encoding="ascii") as more:
        more.writelines(f"{key.replace('_', '.')}={value}\n" for key, value in properties.items())
    running = RunningBroker(made, folder / "kafka.log")
    running.start()
    try:
        create_topics(KafkaAccess(running.servers), settings, timeout=60)
        yield running
    finally:
        running.kill()
