"""How many transactions a second the whole pipe takes: `uv run python -m benchmarks.throughput`.

Starts a pipeline of its own, sends records as fast as the generator makes them, and waits until every one stands in a
table that a reader sees and both jobs have read them all. Broker, generator, both jobs with every sink and Dagster
share the machine. Two rates: over the whole time, and over the part in which the generator had ended (the backlog).
Results go to `benchmarks/results/throughput.json` and to the screen.
"""

import time
from dataclasses import asdict, dataclass
from typing import Annotated

import psutil
import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Bench, running_pipeline, write_result
from contracts import names, tables
from lake.catalog import open_catalog
from lake.snapshots import current_snapshot

_PATIENCE_SECONDS = 600
# What the JVMs see before: with fewer, their second compiler is still at work and takes a quarter of the processors.
_WARM_RECORDS = 1_000_000


@dataclass(frozen=True)
class Measurement:
    """Rates in transactions a second, `cpu_seconds` by component over the whole time."""

    records: int
    sent_seconds: float
    stored_seconds: float
    alerting_seconds: float
    with_generator: int
    backlog: int
    cpu_seconds: dict[str, float]


def main(
    records: Annotated[int, typer.Option(min=10_000, help="How many are sent.")] = 1_500_000,
) -> None:
    """Measure the sustained rate with every sink on."""
    with running_pipeline() as bench:
        bench.send(rate=0, records=_WARM_RECORDS)
        _await_stored(bench, sum(bench.ends().values()))
        measured = _measure(bench, records)
    write_result("throughput", **asdict(measured))
    Console().print(_table(measured))


def _measure(bench: Bench, records: int) -> Measurement:
    before = _cpu(bench)
    started = time.monotonic()
    bench.send(rate=0, records=records)
    sent = time.monotonic() - started
    total = sum(bench.ends().values())
    stored_by_then = _stored(bench) - (total - records)
    judged = _await_judged(bench)
    _await_stored(bench, total)
    stored = time.monotonic() - started
    after = _cpu(bench)
    return Measurement(
        records=records,
        sent_seconds=round(sent, 1),
        stored_seconds=round(stored, 1),
        alerting_seconds=round(judged - started, 1),
        with_generator=round(records / stored),
        backlog=round((records - stored_by_then) / (stored - sent)),
        cpu_seconds={name: round(after[name] - before.get(name, 0), 1) for name in after},
    )


def _stored(bench: Bench) -> int:
    catalog = open_catalog(bench.addresses)
    fates = (catalog.load_table(table.identifier) for table in (tables.transactions(), tables.dead_letters()))
    return sum(newest.total_rows or 0 for table in fates if (newest := current_snapshot(table)))


def _await_stored(bench: Bench, total: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := _stored(bench)) < total:
        if time.monotonic() > deadline:
            raise SystemExit(f"{found} of {total} records stored after {_PATIENCE_SECONDS} s; see: pipeline status")
        time.sleep(0.25)


def _await_judged(bench: Bench) -> float:
    """When the job `alerting` has read every record, by its committed offsets, which lag by a checkpoint."""
    ends = bench.ends()
    consumer = Consumer(
        {**bench.addresses.kafka.librdkafka(), "group.id": names.ALERTING_JOB, "enable.auto.commit": False}
    )
    try:
        while True:
            parts = consumer.committed([TopicPartition(names.RAW_TOPIC, part) for part in ends], timeout=10)
            if all(part.offset >= ends[part.partition] for part in parts):
                return time.monotonic()
            time.sleep(0.25)
    finally:
        consumer.close()


def _cpu(bench: Bench) -> dict[str, float]:
    status = bench.status()
    found = {}
    for component in status["components"]:
        if component["pid"]:
            times = psutil.Process(component["pid"]).cpu_times()
            found[component["name"]] = times.user + times.system
    return found


def _table(measured: Measurement) -> Table:
    table = Table("what", "value")
    table.add_row("records", f"{measured.records:,}")
    table.add_row("a second, generator beside", f"{measured.with_generator:,}")
    table.add_row("a second, backlog", f"{measured.backlog:,}")
    table.add_row("sent after, s", f"{measured.sent_seconds:,}")
    table.add_row("judged after, s", f"{measured.alerting_seconds:,}")
    table.add_row("stored after, s", f"{measured.stored_seconds:,}")
    for name, seconds in measured.cpu_seconds.items():
        table.add_row(f"CPU s, {name}", f"{seconds:,}")
    return table


if __name__ == "__main__":
    typer.run(main)
