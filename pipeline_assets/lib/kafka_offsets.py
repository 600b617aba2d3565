"""Asks a Kafka broker how far each partition of a topic reaches. No Dagster here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess


@dataclass(frozen=True)
class PartitionOffsets:
    """One partition: its oldest retained offset, and the offset that its next record will get."""

    partition: int
    earliest: int
    end: int


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
    def written(self) -> int:
        """Records ever written."""
        return sum(partition.end for partition in self.partitions)

    @property
    def retained(self) -> int:
        """Records that can still be read."""
        return sum(partition.end - partition.earliest for partition in self.partitions)

    def lag(self, committed: Mapping[int, int]) -> int:
        """Records after the offsets `committed` (by partition), of those that are retained."""
        return sum(
            part.end - min(part.end, max(part.earliest, committed.get(part.partition, 0))) for part in self.partitions
        )


def topic_offsets(kafka: KafkaAccess, topics: tuple[str, ...], *, timeout: float = 5.0) -> tuple[TopicOffsets, ...]:
    """The offsets of those of `topics` that exist, in their order; `timeout` in seconds holds for each request.

    Raises NotRunning where the broker does not answer in time.
    """
    # It never subscribes, so it joins no group. At a higher log level librdkafka fills stderr while a broker is down.
    consumer = Consumer({**kafka.librdkafka(), "group.id": "pipeline-observer", "log_level": 0})
    try:
        existing = consumer.list_topics(timeout=timeout).topics
        return tuple(
            TopicOffsets(
                topic,
                tuple(_offsets(consumer, topic, number, timeout) for number in sorted(existing[topic].partitions)),
            )
            for topic in topics
            if topic in existing and existing[topic].error is None
        )
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def offsets_at(kafka: KafkaAccess, topic: str, moment: datetime, *, timeout: float = 5.0) -> dict[int, int]:
    """By partition of `topic`, the offset of the first record sent at `moment` (aware) or later; the end for none.

    Raises NotRunning where the broker does not answer in time.
    """
    consumer = Consumer({**kafka.librdkafka(), "group.id": "pipeline-observer", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=timeout).topics[topic].partitions
        milliseconds = int(moment.timestamp() * 1000)
        asked = [TopicPartition(topic, partition, milliseconds) for partition in sorted(partitions)]
        return {
            found.partition: found.offset
            if found.offset >= 0
            else _offsets(consumer, topic, found.partition, timeout).end
            for found in consumer.offsets_for_times(asked, timeout=timeout)
        }
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _offsets(consumer: Consumer, topic: str, partition: int, timeout: float) -> PartitionOffsets:
    earliest, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
    return PartitionOffsets(partition, earliest, end)


def committed_offsets(kafka: KafkaAccess, group: str, topic: str, *, timeout: float = 5.0) -> dict[int, int]:
    """By partition of `topic`, the offset that the consumer group `group` reads next; none where it never committed.

    Raises NotRunning where the broker does not answer in time.
    """
    consumer = Consumer({**kafka.librdkafka(), "group.id": group, "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=timeout).topics[topic].partitions
        asked = [TopicPartition(topic, partition) for partition in sorted(partitions)]
        return {
            found.partition: found.offset for found in consumer.committed(asked, timeout=timeout) if found.offset >= 0
        }
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def topic_ids(kafka: KafkaAccess, topics: tuple[str, ...], *, timeout: float = 5.0) -> dict[str, str]:
    """Return by name the ids (base64) that the broker gave to those of `topics` that exist; `timeout` is in seconds.

    Raises NotRunning where the broker does not answer in time.
    """
    admin = AdminClient({**kafka.librdkafka(), "log_level": 0})
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


def recorded_offsets(
    kafka: KafkaAccess, topic: str, partition: int, begin: int, end: int, *, timeout: float = 10.0
) -> frozenset[int] | None:
    """Return the offsets from `begin` to before `end` that have a committed record; None if Kafka deleted some.

    Raises NotRunning if the broker does not answer, or has not sent all of them after `timeout` seconds.
    """
    settings = {**kafka.librdkafka(), "group.id": "pipeline-observer", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**settings, "isolation.level": "read_committed", "enable.partition.eof": True})
    found: set[int] = set()
    deadline = time.monotonic() + timeout
    try:
        earliest, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
        if begin < earliest:
            return None
        consumer.assign([TopicPartition(topic, partition, begin)])
        while time.monotonic() < deadline:
            for message in consumer.consume(10_000, timeout=0.5):
                offset = message.offset()
                if (problem := message.error()) and problem.code() == KafkaError._PARTITION_EOF:
                    return frozenset(found)
                if problem:
                    raise KafkaException(problem)
                if offset is None or offset >= end:
                    return frozenset(found)
                found.add(offset)
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()
    raise NotRunning(f"Kafka at {kafka} has not sent the records {partition}/{begin} to {end} after {timeout:.0f} s")
