"""How many records a second the generator makes and sends: `uv run python -m benchmarks.generator`.

Starts a broker of its own. In turns, several rounds: a bare loop that sends one constant payload of the same size with
the same settings (`produce`, no callback), and `python -m generator` with everything on: fraud of every scenario, every
disturbance, the ledger. A record's cost is the processor time of the whole process, librdkafka's threads included; a
rate per core is its inverse. The broker shares the machine. Results go to `benchmarks/results/generator.json` and to
the screen.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
import yaml
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.harness import write_result
from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.paths import PROJECT, config_folder
from contracts.settings import load_settings
from generator.producer import producer_settings
from operations.embedded.broker import Broker
from operations.jars import kafka_jars
from operations.java import find_java
from operations.ports import free_ports
from operations.signals import raise_interrupted
from operations.topics import create_topics

_PAYLOAD_BYTES = 320  # the mean of the generator's
_BARE = "bare loop, constant payload"


@dataclass(frozen=True)
class Measurement:
    """One run: records a second by the clock, and microseconds of processor time a record."""

    what: str
    round: int
    records: int
    per_second: int
    cpu_us: float

    @property
    def per_core(self) -> int:
        """Records for each second of processor time."""
        return round(1e6 / self.cpu_us)


def main(
    records: Annotated[int, typer.Option(min=10_000, help="How many are sent in each run.")] = 1_500_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 3,
) -> None:
    """Measure the generator beside a bare producer loop."""
    raise_interrupted()
    with tempfile.TemporaryDirectory(prefix="generator-benchmark-") as folder, _broker(Path(folder)) as servers:
        measured = [
            one
            for number in range(rounds)
            for one in (
                _bare(servers, records, number),
                _generator(servers, records, number, Path(folder), processes=1),
                _generator(servers, records, number, Path(folder), processes=2),
            )
        ]
    write_result("generator", runs=[{**asdict(one), "per_core": one.per_core} for one in measured])
    Console().print(_table(measured))


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    settings = load_settings().kafka
    broker = Broker(folder / "kafka", find_java().executable, kafka_jars(), settings, *free_ports(2))
    broker.prepare()
    with (folder / "kafka.log").open("wb") as log:
        process = subprocess.Popen(broker.command(), stdout=log, stderr=subprocess.STDOUT)
    try:
        servers = f"127.0.0.1:{broker.port}"
        create_topics(KafkaAccess(servers), settings, timeout=60)
        yield servers
    finally:
        process.terminate()
        process.wait(timeout=30)


def _bare(servers: str, records: int, number: int) -> Measurement:
    producer = Producer(producer_settings(KafkaAccess(servers), rate=0))
    keys = [b"ACC%09d" % account for account in range(4096)]
    payload = os.urandom(_PAYLOAD_BYTES // 2).hex().encode()
    started, processor = time.perf_counter(), time.process_time()
    for sent in range(records):
        while True:
            try:
                producer.produce(names.RAW_TOPIC, payload, keys[sent % 4096])
                break
            except BufferError:
                producer.poll(0.01)
    producer.flush()
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    return Measurement(_BARE, number, records, round(records / seconds), round(processor / records * 1e6, 2))


def _generator(servers: str, records: int, number: int, folder: Path, *, processes: int) -> Measurement:
    config = folder / "generator.yaml"
    content = yaml.safe_load((config_folder() / "generator.yaml").read_text(encoding="utf-8"))
    content["disturbances"]["duplicate_percent"] = 1.0
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable, "-m", "generator", "--rate", "0", "--limit", str(records), "--seed", str(number),
            "--config", str(config), "--ledger", str(folder / "ledger"), "--health", str(folder / "health.json"),
            "--processes", str(processes),
        ],
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers}, cwd=PROJECT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    ends = [line for line in map(json.loads, done.stdout.splitlines()) if line["event"] == "stopped"]
    sent, processor = sum(end["ok"] for end in ends), sum(end["cpu_seconds"] for end in ends)
    if sent != records:
        raise SystemExit(f"{sent} of {records} records were acknowledged")
    what = f"generator, everything on, {processes} process{'es' if processes > 1 else ''}"
    seconds = max(end["seconds"] for end in ends)
    return Measurement(what, number, records, round(records / seconds), round(processor / records * 1e6, 2))


def _table(measured: list[Measurement]) -> Table:
    bare = median(one.cpu_us for one in measured if one.what == _BARE)
    table = Table("median of the rounds", "records/s", "CPU us a record", "records/s a core", "cost, of the bare loop")
    for what in dict.fromkeys(one.what for one in measured):
        runs = [one for one in measured if one.what == what]
        cost = median(run.cpu_us for run in runs)
        table.add_row(
            what,
            f"{median(run.per_second for run in runs):,.0f}",
            f"{cost:.2f}",
            f"{1e6 / cost:,.0f}",
            f"{cost / bare:.2f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
