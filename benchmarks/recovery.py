"""How long alerts and rows stay away when a process is killed: `uv run python -m benchmarks.recovery`.

Under steady traffic one process after another gets SIGKILL. Measured from the kill to the first alert, and to the first
row a reader sees, of a record that was sent after it. In the end each record is looked for, by the ledger of what was
sent. Results go to `benchmarks/results/recovery.json` and to the screen.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated

import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Bench, running_pipeline, write_result
from contracts import names
from lake.duck import connect_to
from lake.locations import metadata_locations

_VICTIMS = (*names.TASKMANAGERS.values(), names.JOBMANAGER, names.BROKER)
_PATIENCE_SECONDS, _CALM_SECONDS = 180, 30
_NEW_ROWS = "SELECT 1 FROM transactions WHERE kafka_partition = ? AND kafka_offset >= ? LIMIT 1"


@dataclass(frozen=True)
class Recovery:
    """Seconds from the kill to the first alert and to the first row of a later record."""

    killed: str
    alert_seconds: float
    row_seconds: float


def main(
    rate: Annotated[int, typer.Option(min=100, help="Records a second meanwhile.")] = 1_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each process is killed.")] = 3,
) -> None:
    """Kill processes of a pipeline under load, and measure how soon its results are back."""
    console, found = Console(stderr=True), []
    with running_pipeline() as bench:
        with bench.sending("--rate", str(rate)) as generator:
            for victim in _VICTIMS * rounds:
                time.sleep(_CALM_SECONDS)
                found.append(_recovery(bench, victim))
                console.print(found[-1])
            generator.send_signal(signal.SIGINT)
        score = bench.score()
    write_result("recovery", rate=rate, score=score, recoveries=[asdict(one) for one in found])
    Console().print(_table(found, score))


def _recovery(bench: Bench, victim: str) -> Recovery:
    status = json.loads(bench.pipeline("status", "--json"))
    pid = next(part["pid"] for part in status["components"] if part["name"] == victim)
    with _alerts(bench) as consumer:
        ends = bench.ends()
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        alert = row = 0.0
        while not (alert and row):
            seconds = time.monotonic() - killed
            if seconds > _PATIENCE_SECONDS:
                raise SystemExit(f"no results {_PATIENCE_SECONDS} s after {victim} was killed; see: pipeline status")
            alert = alert or (seconds if _is_alerted(consumer, ends) else 0.0)
            row = row or (seconds if _is_stored(bench, ends) else 0.0)
    return Recovery(victim, round(alert, 1), round(row, 1))


@contextmanager
def _alerts(bench: Bench) -> Iterator[Consumer]:
    consumer = Consumer({**bench.addresses.kafka.librdkafka(), "group.id": "benchmark", "enable.auto.commit": False})
    ends = bench.ends(names.ALERT_TOPIC)
    consumer.assign([TopicPartition(names.ALERT_TOPIC, number, end) for number, end in ends.items()])
    try:
        yield consumer
    finally:
        consumer.close()


def _is_alerted(consumer: Consumer, ends: dict[int, int]) -> bool:
    alerts = [json.loads(message.value() or b"{}") for message in consumer.consume(1_000, 0.1) if not message.error()]
    return any(alert["source_offset"] >= ends[alert["source_partition"]] for alert in alerts)


def _is_stored(bench: Bench, ends: dict[int, int]) -> bool:
    addresses = bench.addresses
    with connect_to(metadata_locations(addresses), addresses.iceberg_warehouse) as connection:
        return any(connection.execute(_NEW_ROWS, place).fetchone() for place in ends.items())


def _table(found: list[Recovery], score: dict[str, int]) -> Table:
    title = ", ".join(f"{key} {value:,}" for key, value in score.items())
    table = Table("killed", "alerts again after, s", "rows again after, s", title=title)
    for victim in _VICTIMS:
        own = [one for one in found if one.killed == victim]
        table.add_row(
            victim,
            f"{median(one.alert_seconds for one in own):.1f} (at most {max(one.alert_seconds for one in own):.1f})",
            f"{median(one.row_seconds for one in own):.1f} (at most {max(one.row_seconds for one in own):.1f})",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
