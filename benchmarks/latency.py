"""Measures the running pipe from outside: `uv run python -m benchmarks.latency`.

Starts a pipeline of its own on free ports and measures, per rate: alert latency (producer's send -> alert read by a
consumer), storage latency (producer's send -> row visible to a reader of the table), and the memory of each process.
Everything is read as a user would read it: a Kafka consumer, the Iceberg catalog, `pipeline status`.
Results go to `benchmarks/results/latency.json` and to the screen.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import numpy as np
import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.harness import RESULTS, Bench, machine, running_pipeline
from contracts import names
from contracts.addresses import Addresses
from lake.catalog import open_catalog

_RESULTS = RESULTS / "latency.json"
Position = tuple[int, int]


@dataclass(frozen=True)
class Percentiles:
    """Of `count` latencies, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, milliseconds: list[float]) -> "Percentiles":
        """Those of `milliseconds`, which must not be empty."""
        p50, p95, p99, longest = np.percentile(milliseconds, [50, 95, 99, 100])
        return cls(len(milliseconds), *(round(float(value), 1) for value in (p50, p95, p99, longest)))


@dataclass(frozen=True)
class Measurement:
    """One rate, in transactions a second, over `seconds`. `memory_mb` is the proportional set size by component."""

    rate: int
    seconds: int
    alert: Percentiles
    storage: Percentiles
    memory_mb: dict[str, int]


@dataclass
class Arrivals:
    """When a reader first saw things, in epoch seconds: alerts by their transaction's position, snapshots by id."""

    alerts: dict[Position, float] = field(default_factory=dict)
    snapshots: dict[int, float] = field(default_factory=dict)


def main(
    rates: Annotated[str, typer.Option(help="Transactions a second, separated by commas.")] = "10,1000",
    seconds: Annotated[int, typer.Option(min=20, help="How long each rate is measured.")] = 120,
) -> None:
    """Measure alert latency, storage latency and memory at several rates."""
    console = Console(stderr=True)
    with running_pipeline() as bench:
        console.print(f"up after {bench.up_seconds} s")
        measured = [_measure(bench, rate, seconds, console) for rate in map(int, rates.split(","))]
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "up_seconds": bench.up_seconds,
        "down_seconds": bench.stop_seconds,
        "rates": [asdict(measurement) for measurement in measured],
    }
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    Console().print(_table(measured))


def _measure(bench: Bench, rate: int, seconds: int, console: Console) -> Measurement:
    console.print(f"{rate} transactions a second for {seconds} s ...")
    beginning, addresses = bench.ends(), bench.addresses
    with _watching(bench) as arrivals:
        bench.send(rate=rate, records=rate * seconds)
        memory = _memory(bench)
        time.sleep(12)  # two commit intervals: the last rows become visible
    sent = _sent(bench, beginning)
    alert = [(seen - sent[position]) * 1000 for position, seen in arrivals.alerts.items() if position in sent]
    storage = _storage(addresses, arrivals, sent)
    return Measurement(rate, seconds, Percentiles.of(alert), Percentiles.of(storage), memory)


@contextmanager
def _watching(bench: Bench) -> Iterator[Arrivals]:
    """Notes, from two threads, when alerts and snapshots are seen."""
    addresses = bench.addresses
    arrivals, ending = Arrivals(), threading.Event()
    consumer = Consumer(
        {
            "bootstrap.servers": addresses.kafka_bootstrap_servers,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    ends = bench.ends(names.ALERT_TOPIC)
    consumer.assign([TopicPartition(names.ALERT_TOPIC, number, end) for number, end in ends.items()])

    def alerts() -> None:
        while not ending.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            now, alert = time.time(), json.loads(message.value() or b"{}")
            arrivals.alerts.setdefault((alert["source_partition"], alert["source_offset"]), now)

    def snapshots() -> None:
        catalog = open_catalog(addresses)
        while not ending.wait(0.1):
            snapshot = catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}").current_snapshot()
            if snapshot is not None:
                arrivals.snapshots.setdefault(snapshot.snapshot_id, time.time())

    threads = [threading.Thread(target=watch, daemon=True) for watch in (alerts, snapshots)]
    for thread in threads:
        thread.start()
    time.sleep(1)  # the consumer's first fetch
    try:
        yield arrivals
    finally:
        ending.set()
        for thread in threads:
            thread.join()
        consumer.close()


def _sent(bench: Bench, beginning: dict[int, int]) -> dict[Position, float]:
    """When each record since `beginning` was sent, by its own Kafka timestamp: set when the producer was called."""
    ends = bench.ends()
    consumer = Consumer({"bootstrap.servers": bench.addresses.kafka_bootstrap_servers, "group.id": "benchmark-sent"})
    consumer.assign([TopicPartition(names.RAW_TOPIC, number, offset) for number, offset in beginning.items()])
    missing, sent = sum(ends.values()) - sum(beginning.values()), dict[Position, float]()
    try:
        while len(sent) < missing:
            for message in consumer.consume(10_000, timeout=5):
                sent[(message.partition() or 0, message.offset() or 0)] = message.timestamp()[1] / 1000
    finally:
        consumer.close()
    return sent


def _storage(addresses: Addresses, arrivals: Arrivals, sent: dict[Position, float]) -> list[float]:
    """For each stored record, milliseconds from its sending until the first snapshot that holds it was seen."""
    table = open_catalog(addresses).load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
    columns = ("kafka_partition", "kafka_offset")
    delays, known = [], set[Position]()
    for snapshot in sorted(table.snapshots(), key=lambda found: found.sequence_number or 0):
        seen = arrivals.snapshots.get(snapshot.snapshot_id)
        rows = table.scan(snapshot_id=snapshot.snapshot_id, selected_fields=columns).to_arrow() if seen else None
        if seen is None or rows is None:
            continue
        positions = set(zip(*(rows[column].to_pylist() for column in columns), strict=True)) - known
        delays += [(seen - sent[position]) * 1000 for position in positions if position in sent]
        known |= positions
    return delays


def _memory(bench: Bench) -> dict[str, int]:
    status = json.loads(bench.pipeline("status", "--json"))
    return {part["name"]: part["memory_mb"] for part in status["components"] if part["memory_mb"]}


def _table(measured: list[Measurement]) -> Table:
    table = Table("tx/s", "latency", "p50 ms", "p95 ms", "p99 ms", "longest ms", "count")
    for one in measured:
        for name, found in (("alert", one.alert), ("storage", one.storage)):
            values = (found.p50, found.p95, found.p99, found.longest, found.count)
            table.add_row(str(one.rate), name, *(f"{value:,}" for value in values))
        memory = ", ".join(f"{name} {size}" for name, size in one.memory_mb.items())
        table.add_row(str(one.rate), f"memory: {sum(one.memory_mb.values())} MB ({memory})")
    return table


if __name__ == "__main__":
    typer.run(main)
