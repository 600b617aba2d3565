"""How long alerts and rows stay away when a process is killed: `uv run python -m benchmarks.recovery`.

Under steady traffic one process after another gets SIGKILL. Measured is the longest silence from then on: between two
alerts on records further on in the log than all before, and between two commits. In the end each record is looked for,
by the ledger of what was sent. Results go to `benchmarks/results/recovery.json` and to the screen.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Annotated

import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Bench, running_pipeline, write_result
from contracts import names
from lake.locations import metadata_locations

_VICTIMS = (*names.TASKMANAGERS.values(), names.JOBMANAGER, names.BROKER)
_CALM_SECONDS, _LEAD_SECONDS, _WATCHED_SECONDS = 10, 5, 45


@dataclass(frozen=True)
class Recovery:
    """The longest silences in seconds. Without a kill alerts come several times a second, commits every 5 s."""

    killed: str
    alert_silence: float
    commit_silence: float


def main(
    rate: Annotated[int, typer.Option(min=100, help="Records a second meanwhile.")] = 1_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each process is killed.")] = 3,
) -> None:
    """Kill processes of a pipeline under load, and measure how long its results stay away."""
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
    status = bench.status()
    pid = next(part["pid"] for part in status["components"] if part["name"] == victim)
    alerts, commits = _Silence(), _Silence()
    with _alerts(bench) as consumer:
        reached, location, killed = dict.fromkeys(bench.ends(), -1), "", False
        began = time.monotonic()
        while (seconds := time.monotonic() - began) < _LEAD_SECONDS + _WATCHED_SECONDS:
            if seconds > _LEAD_SECONDS and not killed:
                os.kill(pid, signal.SIGKILL)
                killed = True
            if _advance(consumer, reached):
                alerts.ends()
            if (newest := metadata_locations(bench.addresses)[names.TRANSACTIONS]) != location:
                location = newest
                commits.ends()
    return Recovery(victim, round(alerts.longest(), 1), round(commits.longest(), 1))


@dataclass
class _Silence:
    """Spans between the moments at which something was heard."""

    _heard: list[float] = field(default_factory=list)

    def ends(self) -> None:
        """Something was heard now."""
        self._heard.append(time.monotonic())

    def longest(self) -> float:
        """In seconds, the one that lasts until now included."""
        return max(after - before for before, after in pairwise([*self._heard, time.monotonic()]))


@contextmanager
def _alerts(bench: Bench) -> Iterator[Consumer]:
    settings = {"group.id": "benchmark", "enable.auto.commit": False, "log_level": 0}  # the broker's absence is no news
    consumer = Consumer({**bench.addresses.kafka.librdkafka(), **settings})
    ends = bench.ends(names.ALERT_TOPIC)
    consumer.assign([TopicPartition(names.ALERT_TOPIC, number, end) for number, end in ends.items()])
    try:
        yield consumer
    finally:
        consumer.close()


def _advance(consumer: Consumer, reached: dict[int, int]) -> bool:
    """Whether alerts came on records beyond those in `reached`, which it moves on. Repeated ones do not count."""
    new = False
    for message in consumer.consume(1_000, timeout=0.1):
        if message.error():
            continue
        alert = json.loads(message.value() or b"{}")
        part, offset = alert["source_partition"], alert["source_offset"]
        new |= offset > reached[part]
        reached[part] = max(reached[part], offset)
    return new


def _table(found: list[Recovery], score: dict[str, int]) -> Table:
    title = ", ".join(f"{key} {value:,}" for key, value in score.items())
    table = Table("killed", "without alerts, s", "without a commit, s", title=title)
    for victim in _VICTIMS:
        own = [one for one in found if one.killed == victim]
        table.add_row(
            victim,
            ", ".join(f"{one.alert_silence:.1f}" for one in own),
            ", ".join(f"{one.commit_silence:.1f}" for one in own),
        )
    return table


if __name__ == "__main__":
    typer.run(main)
