"""Connects the parts of a run: from what was asked for to traffic that flows."""

import gc
import os
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from contracts import names
from contracts.kafka_access import KafkaAccess
from generator.config import GeneratorConfig
from generator.durations import seconds_of, utc_ms
from generator.health import HealthFile
from generator.ledger import Ledger
from generator.population import Shard
from generator.processes import part_of
from generator.producer import producer_settings
from generator.progress import Status
from generator.publisher import Publisher
from generator.reload import ConfigWatch
from generator.run import Run, Stop
from generator.timeline import Simulated, Timeline, WallClock
from generator.traffic import Traffic

_log = structlog.get_logger()


@dataclass(frozen=True)
class Order:
    """What traffic was asked for: `limit` records of this seed (None: without end).

    `start_ms` and `end_ms` (UTC) are those of simulated time; without a start it is the wall clock's, without an end it
    goes on. History up to an end is written as fast as possible.
    """

    config: GeneratorConfig
    seed: int
    limit: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None

    @property
    def is_backfill(self) -> bool:
        """Whether history is written."""
        return self.end_ms is not None

    @property
    def start_text(self) -> str | None:
        """The start of simulated time, ISO 8601."""
        return None if self.start_ms is None else datetime.fromtimestamp(self.start_ms / 1000, UTC).isoformat()

    def repeated(self) -> list[str]:
        """The options that make another process run the same order, where a random seed or the clock decided."""
        start = ["--start", self.start_text] if self.start_text else []
        return ["--seed", str(self.seed), *start]

    def expected(self, shard: Shard) -> int | None:
        """How many records `shard` will send, about; None where that is open."""
        if self.limit is None and self.start_ms is not None and self.end_ms is not None:
            return round(self.config.rate_per_second / shard.count * (self.end_ms - self.start_ms) / 1000)
        return part_of(self.limit, shard)

    def timeline(self, shard: Shard) -> Timeline:
        """The times of the records of `shard`. Raises ConfigError."""
        if self.start_ms is None:
            return WallClock(self.config.rate_per_second / shard.count)
        return Simulated.of(self.config, seed=self.seed, shard=shard, start_ms=self.start_ms, end_ms=self.end_ms)


def order_of(config: GeneratorConfig, *, start: str | None, backfill: str | None, limit: int | None) -> Order:
    """The order that the command line gives. Raises ConfigError."""
    seed = secrets.randbelow(2**32) if config.seed is None else config.seed
    seconds = seconds_of(backfill) if backfill else 0
    if start is None and backfill is None:
        return Order(config, seed, limit)
    start_ms = utc_ms(start) if start else (int(time.time()) - seconds) * 1000
    return Order(config, seed, limit, start_ms, start_ms + seconds * 1000 if seconds else None)


def send_traffic(
    order: Order, watch: ConfigWatch, *, shard: Shard, kafka: KafkaAccess, ledger: Path, health: Path
) -> None:
    """Runs the part of `order` that is `shard`'s, until its end or a signal.

    Raises ConfigError, MachineError where the ledger cannot be written, and ComponentFailed where Kafka refuses.
    """
    config = order.config
    stop = Stop(parent=os.getppid() if shard.count > 1 else None).on_signals()
    timeline = order.timeline(shard)
    traffic = Traffic(config, seed=order.seed, shard=shard)
    rate = config.rate_per_second / shard.count
    book = Ledger(
        ledger,
        config.ledger,
        run=f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}" + (f"-{shard.number}" if shard.count > 1 else ""),
        metadata={"seed": str(order.seed), "config": config.model_dump_json()},
    )
    publisher = Publisher(
        producer_settings(kafka, rate=0 if order.is_backfill else rate),
        names.RAW_TOPIC,
        settle=book.settle,
        stopping=stop,
        waiting=lambda: report.tick(),
    )
    own = health.with_stem(f"{health.stem}-{shard.number}") if shard.number else health
    report = HealthFile(own, publisher, wanted_rate=rate, refused_edit=lambda: watch.refused)
    _log.info(
        "started",
        seed=order.seed,
        rate_per_second=rate,
        accounts=len(traffic.population),
        limit=order.limit,
        start=order.start_text,
        bootstrap_servers=str(kafka),
    )
    # Each chunk makes thousands of short-lived objects. With Python's own thresholds its collector, which finds nothing
    # in them, took 8 % of the processor time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    # Simulated time is there to be repeated: no edit changes it.
    edited: AbstractContextManager[object] = watch if order.start_ms is None else nullcontext()
    with edited:
        Run(
            traffic,
            timeline,
            publisher,
            book,
            Status(publisher.counts, expected=order.expected(shard)),
            stop,
            config,
            shards=shard.count,
            paced=not order.is_backfill,
            edits=watch.take,
            health=report,
        ).until(part_of(order.limit, shard))
