"""What every benchmark of the running pipe shares: a pipeline of its own, its command line, and traffic for it."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from operations.signals import raise_interrupted

RESULTS = Path(__file__).parent / "results"
_PORTS = (
    "KAFKA__PORT", "KAFKA__CONTROLLER_PORT", "FLINK__REST_PORT", "FLINK__RPC_PORT", "DAGSTER__PORT",
    "DAGSTER__CODE_PORT",
)  # fmt: skip


@dataclass
class Bench:
    """A pipeline that was started for a benchmark, on free ports; `stop_seconds` is known when it has ended."""

    state: Path
    environment: dict[str, str]
    up_seconds: float = 0
    stop_seconds: float = 0

    @property
    def addresses(self) -> Addresses:
        """Where it is."""
        return Addresses.read(self.state)

    def pipeline(self, *arguments: str) -> str:
        """What the `pipeline` command prints. Raises CalledProcessError where it fails."""
        command = [sys.executable, "-m", "operations.cli", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def send(self, *, rate: int, records: int) -> None:
        """Sends generated records at `rate` a second, 0 as fast as possible, and returns when all are acknowledged."""
        command = [sys.executable, "-m", "generator", "--rate", str(rate), "--limit", str(records), "--seed", "1"]
        subprocess.run(
            command,
            env={**self.environment, **self.addresses.to_environment()},
            cwd=PROJECT,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def ends(self, topic: str = names.RAW_TOPIC) -> dict[int, int]:
        """The end of each partition of `topic`."""
        consumer = Consumer({**self.addresses.kafka.librdkafka(), "group.id": "benchmark-ends"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            watermarks = {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
                for number in partitions
            }
            return {number: end for number, (_, end) in watermarks.items()}
        finally:
            consumer.close()


@contextmanager
def running_pipeline() -> Iterator[Bench]:
    """A pipeline without its generator, its JVMs warm; ended and forgotten in the end, also by Ctrl-C."""
    raise_interrupted()
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as folder:
        state = Path(folder).resolve()
        ports = {f"PIPELINE_{name}": "0" for name in _PORTS}
        bench = Bench(state, {**os.environ, **ports, "PIPELINE_STATE": str(state)})
        started = time.monotonic()
        try:
            bench.pipeline("up", "--detach", "--no-generator")
            bench.up_seconds = round(time.monotonic() - started, 1)
            bench.send(rate=200, records=3_000)  # the JVMs compile what they run
            yield bench
        finally:
            stopping = time.monotonic()
            bench.pipeline("down")
            bench.stop_seconds = round(time.monotonic() - stopping, 1)


@dataclass
class Compactions:
    """How many commits have replaced small files; known in the end."""

    count: int = 0


@contextmanager
def compacting(bench: Bench) -> Iterator[Compactions]:
    """All tables are compacted meanwhile, without a pause, by a process that yields to the stream as Dagster does."""
    command = [sys.executable, "-m", "benchmarks.compacting"]
    environment = {**bench.environment, **bench.addresses.to_environment()}
    compactions = Compactions()
    with subprocess.Popen(
        command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield compactions
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=60)
    if process.returncode:
        raise SystemExit(f"the compaction ended with exit code {process.returncode}")
    compactions.count = int(output)


def machine() -> dict[str, str | int | None]:
    """What a figure was measured on."""
    return {"cpus": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}
