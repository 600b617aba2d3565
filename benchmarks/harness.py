"""What every benchmark of the running pipe shares: a pipeline of its own, its command line, and traffic for it."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from operations.signals import raise_interrupted

RESULTS = Path(__file__).parent / "results"
# What is not through by then will not come.
PATIENCE_SECONDS = 600
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

    def status(self) -> dict[str, Any]:
        """What `pipeline status --json` prints, also of a pipeline that is not healthy at the moment."""
        command = [sys.executable, "-m", "operations.cli", "status", "--json"]
        done = subprocess.run(
            command, env=self.environment, cwd=PROJECT, check=False, stdout=subprocess.PIPE, text=True
        )
        if not done.stdout:
            raise subprocess.CalledProcessError(done.returncode, command)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def send(self, *, rate: int, records: int) -> None:
        """Sends generated records at `rate` a second, 0 as fast as possible, and returns when all are acknowledged."""
        with self.sending("--rate", str(rate), "--limit", str(records), "--seed", "1"):
            pass

    @contextmanager
    def sending(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A generator with these arguments; waits in the end until it has. Raises CalledProcessError where it fails."""
        command = [sys.executable, "-m", "generator", *arguments]
        environment = {**self.environment, **self.addresses.to_environment()}
        with subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.DEVNULL) as process:
            try:
                yield process
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)

    def score(self) -> dict[str, int]:
        """What became of every record that was sent, asked until none is pending: the last rows take a commit more."""
        environment = {**self.environment, **self.addresses.to_environment()}
        command = [sys.executable, "-m", "generator", "score", "--json"]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            done = subprocess.run(command, env=environment, cwd=PROJECT, check=False, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            if not found["ledger"]["pending"]:
                wanted = ("lost", "wrong_fates", "unexplained_duplicates")
                return {"scored": found["ledger"]["scored"], **{name: found["delivery"][name] for name in wanted}}
            if time.monotonic() > deadline:
                raise SystemExit(f"{found['ledger']['pending']:,} records are still due after {PATIENCE_SECONDS} s")
            time.sleep(5)

    def ends(self, topic: str = names.RAW_TOPIC) -> dict[int, int]:
        """The end of each partition of `topic`."""
        return ends_of(self.addresses, topic)


def ends_of(addresses: Addresses, topic: str = names.RAW_TOPIC) -> dict[int, int]:
    """The end of each partition of `topic`."""
    consumer = Consumer({**addresses.kafka.librdkafka(), "group.id": "benchmark-ends"})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        watermarks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10) for number in partitions
        }
        return {number: end for number, (_, end) in watermarks.items()}
    finally:
        consumer.close()


@contextmanager
def unstarted_pipeline() -> Iterator[Bench]:
    """A pipeline that can be started; ended, where it runs, and forgotten in the end, also by Ctrl-C."""
    raise_interrupted()
    with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as folder:
        state = Path(folder).resolve()
        ports = {f"PIPELINE_{name}": "0" for name in _PORTS}
        bench = Bench(state, {**os.environ, **ports, "PIPELINE_STATE": str(state)})
        try:
            yield bench
        finally:
            bench.stop_seconds = round(seconds_of(lambda: bench.pipeline("down")), 1)


@contextmanager
def running_pipeline() -> Iterator[Bench]:
    """One without its generator, its JVMs warm."""
    with unstarted_pipeline() as bench:
        bench.up_seconds = round(seconds_of(lambda: bench.pipeline("up", "--detach", "--no-generator")), 1)
        bench.send(rate=200, records=3_000)  # the JVMs compile what they run
        yield bench


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


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


def write_result(name: str, **figures: Any) -> dict[str, Any]:
    """Writes `results/<name>.json`: the figures, with the day and the machine they were measured on. Returns them."""
    machine = {"cpus": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}
    result = {"measured": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, **figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result
