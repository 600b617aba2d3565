"""Tells at which offsets of a Kafka partition a committed record is. No Dagster here.

Offsets need not follow each other: a transaction leaves a marker, and what it gave up is no record.
"""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from pipeline_assets.lib.kafka_offsets import Place

Span = tuple[int, int]
"""A range of offsets; the end is excluded."""


def recorded_offsets(
    kafka: KafkaAccess, topic: str, partition: int, begin: int, end: int, *, timeout: float = 10.0
) -> frozenset[int] | None:
    """Return the offsets from `begin` to before `end` that have a committed record; None if Kafka deleted some.

    Raises NotRunning if the broker does not answer, or has not sent all of them after `timeout` seconds.
    """
    place = topic, partition
    with _Reader(kafka, timeout) as reader:
        if begin < reader.earliest(place):
            return None
        return reader.offsets({place: (begin, end)})[place]


def records_in(
    kafka: KafkaAccess, spans: Mapping[Place, Span], *, at_most: int, timeout: float = 10.0
) -> dict[Place, frozenset[int]]:
    """Return by partition the offsets of its span that have a committed record: the first `at_most` of them.

    Raises NotRunning if the broker does not answer, has not sent them after `timeout` seconds, or has deleted some.
    """
    with _Reader(kafka, timeout) as reader:
        return reader.offsets(spans, at_most=at_most)


class _Reader:
    """Reads for `timeout` seconds at most."""

    def __init__(self, kafka: KafkaAccess, timeout: float) -> None:
        self._kafka, self._timeout, self._deadline = kafka, timeout, time.monotonic() + timeout
        self._consumer = Consumer(
            {
                **kafka.observer(),
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,  # at the end of a partition the broker would wait for more
                "queued.min.messages": 10_000,
                "fetch.queue.backoff.ms": 10,
                "fetch.message.max.bytes": 256 * 1024,
            }
        )

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._consumer.close()
        if isinstance(error, KafkaException):
            raise NotRunning(f"Kafka at {self._kafka} does not answer: {error.args[0].str()}") from error

    def earliest(self, place: Place) -> int:
        """Return the oldest retained offset."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=self._timeout)[0])

    def offsets(self, spans: Mapping[Place, Span], *, at_most: int | None = None) -> dict[Place, frozenset[int]]:
        """Return by partition the offsets of its span that have a committed record: the first `at_most` of them."""
        found: dict[Place, set[int]] = {place: set() for place in spans}
        waiting = {place: end for place, (begin, end) in spans.items() if begin < end}
        self._consumer.assign([TopicPartition(*place, spans[place][0]) for place in waiting])
        while waiting:
            message = self._next(waiting)
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            end = waiting.get(place, 0)
            if message.error() is None and offset < end:
                found[place].add(offset)
            # The end of a partition is told by the offset after its last one, be that a record or a marker.
            reached = offset if message.error() else offset + 1
            if reached >= end or len(found[place]) == at_most:
                waiting.pop(place, None)
        return {place: frozenset(offsets) for place, offsets in found.items()}

    def _next(self, waiting: Mapping[Place, int]) -> Message:
        message = self._consumer.poll(max(0.0, self._deadline - time.monotonic()))
        if message is None or time.monotonic() > self._deadline:
            left = ", ".join(f"{topic}/{partition}/{end}" for (topic, partition), end in sorted(waiting.items()))
            raise NotRunning(f"Kafka at {self._kafka} has not sent the records up to {left} in {self._timeout:.0f} s")
        if (problem := message.error()) and problem.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(problem)
        return message
