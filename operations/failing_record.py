"""Names the record on which a job fails again and again, as far as it can be told: the largest that it reads again.

Flink's failures say what Java met, seldom at which record. A job that goes on from a checkpoint reads the same records
again, and what ends it time after time is nearly always one that is too large for its memory.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from streaming.checkpoint_positions import newest_readable

# A tenth of it is more than any record of ours; from there on a job's memory may be too small.
_LARGE_BYTES = 2**20
_SECONDS = 3.0
# Of each partition: as many as a job's consumer takes at once, a few times over.
_RECORDS = 2_000


@dataclass(frozen=True)
class Large:
    """A record that is larger than a mebibyte."""

    position: Position
    bytes: int


def tell_failing_record(kafka: KafkaAccess, checkpoints: Path, job: str) -> str:
    """Tell, in a sentence, what `job` reads again after its newest checkpoint, and how to pass over a large record."""
    places = {
        Position(topic, part, offset)
        for topic, readers in names.READERS.items()
        if job in readers and (found := newest_readable(checkpoints, job, "*", topic)) is not None
        for part, offset in found[1].items()
    }
    large = largest_record(kafka, places)
    if large is not None:
        return (
            f"The largest record that it reads again is {large.position} with {large.bytes:,} bytes. To go on without "
            f"it: pipeline skip {large.position} --why REASON"
        )
    return f"It reads again from {', '.join(map(str, sorted(places))) or 'the first record'} on"


def largest_record(kafka: KafkaAccess, places: set[Position]) -> Large | None:
    """Return the largest of the next records after `places`; None if all are ordinary, or Kafka does not answer."""
    found = (Large(_position(message), _size(message)) for message in _after(kafka, places))
    large = (each for each in found if each.bytes >= _LARGE_BYTES)
    try:
        return max(large, key=lambda each: each.bytes, default=None)
    except KafkaException:
        return None


def _after(kafka: KafkaAccess, places: set[Position]) -> Iterator[Message]:
    if not places:
        return
    consumer = Consumer({**kafka.observer(), "isolation.level": "read_committed"})
    try:
        consumer.assign([TopicPartition(place.topic, place.partition, place.offset) for place in places])
        deadline, left = time.monotonic() + _SECONDS, _RECORDS * len(places)
        while left > 0 and time.monotonic() < deadline:
            for message in consumer.consume(min(left, 500), timeout=0.5):
                left -= 1
                if message.error() is None:
                    yield message
    finally:
        consumer.close()


def _position(message: Message) -> Position:
    return Position(message.topic() or "", message.partition() or 0, message.offset() or 0)


def _size(message: Message) -> int:
    headers = [header for header in message.headers() or () if isinstance(header, tuple)]
    parts = (message.value(), message.key(), *(name.encode() for name, _ in headers), *(value for _, value in headers))
    return sum(len(part or b"") for part in parts)
