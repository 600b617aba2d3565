"""Asks a Kafka broker how far each partition of a topic, and each consumer group, reaches. No Dagster here.

Offsets count places, not records: transactions leave markers, and records that were given up. How many records there
are is told by `kafka_records`, how far a job is behind by `kafka_lag`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import tenacity
from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess

_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
Found = TypeVar("Found")

Place = tuple[str, int]
"""A topic and the number of a partition of it."""


@dataclass(frozen=True)
class PartitionOffsets:
    """One partition: its oldest retained offset, the offset that its next record will get, and how far it can be read.

    A `read_committed` reader gets what is before `stable`: the end, or where the oldest open transaction begins.
    """

    partition: int
    earliest: int
    end: int
    stable: int


@dataclass(frozen=True)
class TopicOffsets:
    """One topic, its partitions in order."""

    topic: str
    partitions: tuple[PartitionOffsets, ...]

    @property
    def earliest(self) -> dict[int, int]:
        """Return the oldest retained offset by partition."""
        return {part.partition: part.earliest for part in self.partitions}

    @property
    def ends(self) -> dict[int, int]:
        """Return by partition the offset that its next record will get."""
        return {part.partition: part.end for part in self.partitions}

    @property
    def stable(self) -> dict[int, int]:
        """Return by partition the offset before which everything can be read."""
        return {part.partition: part.stable for part in self.partitions}

    @property
    def held_back(self) -> dict[int, int]:
        """Return by partition where an open transaction begins, which holds back what follows."""
        return {part.partition: part.stable for part in self.partitions if part.stable < part.end}

    @property
    def written(self) -> int:
        """Count the offsets ever given, to records and to markers of transactions."""
        return sum(partition.end for partition in self.partitions)

    @property
    def retained(self) -> int:
        """Count the offsets that the broker still has."""
        return sum(partition.end - partition.earliest for partition in self.partitions)


def topic_offsets(kafka: KafkaAccess, topics: tuple[str, ...], *, timeout: float = 5.0) -> tuple[TopicOffsets, ...]:
    """Return the offsets of those of `topics` that exist, in their order; `timeout` (seconds) holds for each request.

    Raises NotRunning if the broker does not answer in time.
    """
    admin = _admin(kafka)
    try:
        known = admin.list_topics(timeout=timeout).topics
        existing = {topic: sorted(known[topic].partitions) for topic in topics if topic in known}
        places = [(topic, number) for topic, numbers in existing.items() for number in numbers]
        uncommitted, committed = IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED
        earliest = _list_offsets(admin, places, OffsetSpec.earliest(), uncommitted, timeout)
        # In this order: what is written in between must not look held back.
        end = _list_offsets(admin, places, OffsetSpec.latest(), uncommitted, timeout)
        stable = _list_offsets(admin, places, OffsetSpec.latest(), committed, timeout)
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    parts = {at: PartitionOffsets(at[1], earliest[at], end[at], min(end[at], stable[at])) for at in places}
    return tuple(
        TopicOffsets(topic, tuple(parts[topic, number] for number in numbers)) for topic, numbers in existing.items()
    )


def _admin(kafka: KafkaAccess) -> AdminClient:
    # At a higher log level librdkafka fills stderr while a broker is down.
    return AdminClient({**kafka.librdkafka(), "log_level": 0})


def _list_offsets(
    admin: AdminClient, places: Sequence[Place], spec: OffsetSpec, level: IsolationLevel, timeout: float
) -> dict[Place, int]:
    asked = {TopicPartition(*place): spec for place in places}

    def ask() -> dict[Place, int]:
        found = admin.list_offsets(asked, isolation_level=level, request_timeout=timeout)
        return {(place.topic, place.partition): future.result().offset for place, future in found.items()}

    return _patiently(ask, timeout) if asked else {}


def _patiently(ask: Callable[[], Found], timeout: float) -> Found:
    """Ask again for `timeout` seconds while the broker that could answer is still being chosen, as after a start."""

    def passes(error: BaseException) -> bool:
        return isinstance(error, KafkaException) and error.args[0].code() in _PASSING

    stop, again = tenacity.stop_after_delay(timeout), tenacity.retry_if_exception(passes)
    return tenacity.Retrying(retry=again, stop=stop, wait=tenacity.wait_fixed(0.1), reraise=True)(ask)


def offsets_at(kafka: KafkaAccess, topic: str, moment: datetime, *, timeout: float = 5.0) -> dict[int, int]:
    """Return by partition of `topic` the offset of the first record sent at `moment` (aware) or later.

    If there is none, it is the end. What a `read_committed` reader does not get is left out. Raises NotRunning if the
    broker does not answer in time.
    """
    consumer = Consumer({**kafka.observer(), "isolation.level": "read_committed"})
    try:
        partitions = consumer.list_topics(topic, timeout=timeout).topics[topic].partitions
        milliseconds = int(moment.timestamp() * 1000)
        asked = [TopicPartition(topic, partition, milliseconds) for partition in sorted(partitions)]
        return {
            found.partition: found.offset
            if found.offset >= 0
            else consumer.get_watermark_offsets(TopicPartition(topic, found.partition), timeout=timeout)[1]
            for found in consumer.offsets_for_times(asked, timeout=timeout)
        }
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def group_offsets(kafka: KafkaAccess, group: str, places: Sequence[Place], *, timeout: float = 5.0) -> dict[Place, int]:
    """Return the offset that the consumer group `group` reads next, of those `places` at which it committed one.

    Raises NotRunning if the broker does not answer in time.
    """
    # Not asked of the AdminClient: asked of a broker that had only just started, it was seen to end the process (2.16).
    consumer = Consumer({**kafka.librdkafka(), "group.id": group, "log_level": 0})
    try:
        asked = [TopicPartition(*place) for place in places]
        found = _patiently(lambda: consumer.committed(asked, timeout=timeout), timeout) if asked else []
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return {(part.topic, part.partition): part.offset for part in found if part.offset >= 0}


def committed_offsets(kafka: KafkaAccess, group: str, topic: str, *, timeout: float = 5.0) -> dict[int, int]:
    """Return by partition of `topic` the offset that the consumer group `group` reads next, if it ever committed one.

    Raises NotRunning if the broker does not answer in time.
    """
    found = topic_offsets(kafka, (topic,), timeout=timeout)
    places = [(topic, part.partition) for each in found for part in each.partitions]
    return {partition: at for (_, partition), at in group_offsets(kafka, group, places, timeout=timeout).items()}


def topic_ids(kafka: KafkaAccess, topics: tuple[str, ...], *, timeout: float = 5.0) -> dict[str, str]:
    """Return by name the ids (base64) that the broker gave to those of `topics` that exist; `timeout` is in seconds.

    Raises NotRunning where the broker does not answer in time.
    """
    admin = _admin(kafka)
    found = {}
    for topic, future in admin.describe_topics(TopicCollection(list(topics)), request_timeout=timeout).items():
        try:
            found[topic] = str(future.result().topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    return found


def set_group_offsets(
    kafka: KafkaAccess, group: str, offsets: Mapping[str, Mapping[int, int]], *, timeout: float = 10.0
) -> None:
    """Have the consumer group `group` read from `offsets` (by topic and partition) on. No member of it may be running.

    Raises NotRunning where the broker does not answer or refuses.
    """
    places = [TopicPartition(topic, part, at) for topic, parts in offsets.items() for part, at in parts.items()]
    settings = {**kafka.librdkafka(), "group.id": group, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**settings, "socket.timeout.ms": int(timeout * 1000)})
    try:
        if places:
            consumer.commit(offsets=places, asynchronous=False)
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not take the offsets of {group}: {error.args[0].str()}") from error
    finally:
        consumer.close()
