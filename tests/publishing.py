"""A publisher under test, and notes of what it told."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.kafka_access import KafkaAccess
from generator.producer import producer_settings
from generator.publisher import Outcome, ProducerLike, Publisher

Row = tuple[int, Outcome, int | None, int | None]


@dataclass
class Settled:
    """Notes what the publisher told, as rows."""

    rows: list[Row] = field(default_factory=list)

    def __call__(
        self,
        sequences: NDArray[np.int64],
        outcome: Outcome,
        partitions: NDArray[np.int32] | None,
        offsets: NDArray[np.int64] | None,
    ) -> None:
        assert len(sequences)
        count = len(sequences)
        self.rows += zip(
            sequences.tolist(),
            [outcome] * count,
            [None] * count if partitions is None else partitions.tolist(),
            [None] * count if offsets is None else offsets.tolist(),
            strict=True,
        )

    def sorted(self) -> list[Row]:
        """By sequence number."""
        return sorted(self.rows, key=lambda row: row[0])


def publisher_of(
    connect: Callable[[dict[str, object]], ProducerLike],
    settled: Settled,
    *,
    servers: str = "localhost:1",
    room: int = 100_000,
    stopping: Callable[[], bool] = lambda: False,
    **more: Any,
) -> Publisher:
    """A publisher to one topic, by this producer."""
    settings = {**producer_settings(KafkaAccess(servers), rate=10), "queue.buffering.max.messages": room}
    return Publisher(settings, "topic", settle=settled, stopping=stopping, connect=connect, **more)


def send(
    publisher: Publisher, values: list[bytes | None], *, first: int = 0, partitions: list[int] | None = None
) -> None:
    """Sends these values under one key, to partition 0 unless told otherwise."""
    chosen = np.array(partitions if partitions is not None else [0] * len(values), dtype=np.int32)
    publisher.send(first, [b"key"] * len(values), values, chosen)


def drain(publisher: Publisher) -> None:
    """Returns when nothing is under way any more."""
    deadline = time.monotonic() + 20
    while len(publisher):
        assert time.monotonic() < deadline, f"{len(publisher)} are still under way"
        publisher.poll()
        time.sleep(0.001)
    publisher.poll()
