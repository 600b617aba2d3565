"""The raw topic as a replay needs it: how far it reaches, which replays stand in it, and a way to add one.

The only place here that knows Kafka's clients.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from contracts.record_sizes import RAW_TOPIC_BYTES
from generator.producer import producer_settings
from pipeline_assets.lib.kafka_offsets import topic_offsets

# A request of a sender that was killed may still lie in the broker's hands when the broker first answers us.
_GRACE_SECONDS = 2.0
_SILENCE_SECONDS = 30.0
_DELIVERY_MS = 30_000


@dataclass(frozen=True)
class Outgoing:
    """A repaired record: its key is the account, as for every producer of the topic."""

    position: Position
    account_id: str
    value: bytes


Report = Callable[[Outgoing, Position | None, str], None]
"""Told for each record at most once: where it stands now; or None and why that is not known."""


class RawLog(Protocol):
    """What `replay` asks of the raw topic."""

    def ends(self) -> dict[int, int]:
        """The offset that the next record of each partition will get. Raises NotRunning."""

    def find(self, wanted: Collection[Position], since: Mapping[int, int]) -> dict[Position, Position]:
        """Return where the replays of `wanted` are, of those at the offsets `since` or later.

        Raises NotRunning, also while an open transaction keeps from view what may be one of them.
        """

    def send(self, records: Sequence[Outgoing], report: Report) -> None:
        """Adds the records. Those not reported when it returns, or is interrupted, may or may not be in the log."""


class KafkaRawLog:
    """The topic at a broker."""

    def __init__(self, kafka: KafkaAccess, *, grace_seconds: float = _GRACE_SECONDS) -> None:
        self._kafka, self._grace = kafka, grace_seconds

    def ends(self) -> dict[int, int]:
        """As the protocol says."""
        return {partition: end for partition, (_, end) in self._bounds().items()}

    def find(self, wanted: Collection[Position], since: Mapping[int, int]) -> dict[Position, Position]:
        """As the protocol says."""
        self._bounds()
        time.sleep(self._grace)
        found: dict[Position, Position] = {}
        headers = {str(position).encode("ascii"): position for position in wanted}
        ends = {}
        starts = []
        for partition, (earliest, end) in self._bounds().items():
            noted = since.get(partition, 0)
            # What retention took is in a table, if it ever was. A topic made anew is shorter than was noted.
            start = noted if earliest <= noted <= end else earliest
            if start < end:
                ends[partition] = end
                starts.append(TopicPartition(names.RAW_TOPIC, partition, start))
        consumer = Consumer(
            {
                **self._kafka.librdkafka(),
                "group.id": "dead-letter-replay",  # never joined: partitions are assigned, nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",  # as Flink reads it: what was given up has not arrived
                "log_level": 0,
            }
        )
        try:
            consumer.assign(starts)
            heard = time.monotonic()
            while ends and len(found) < len(headers):
                for message in consumer.consume(1000, timeout=1.0):
                    heard = time.monotonic()
                    if _has_ended(message, ends):
                        ends.pop(message.partition() or 0, None)
                    if message.error() is None:
                        _note(message, headers, found)
                if time.monotonic() - heard > _SILENCE_SECONDS:
                    raise NotRunning(
                        f"{names.RAW_TOPIC} cannot be read up to its end: an open transaction holds it back, or Kafka "
                        f"at {self._kafka} stopped answering. Look at: pipeline status"
                    )
        finally:
            consumer.close()
        return found

    def send(self, records: Sequence[Outgoing], report: Report) -> None:
        """As the protocol says."""
        settings: dict[str, str | int | float | bool] = {
            **producer_settings(self._kafka, rate=0),
            "client.id": "dead-letter-replay",
            "delivery.timeout.ms": _DELIVERY_MS,
            "message.max.bytes": RAW_TOPIC_BYTES,
        }
        producer = Producer(settings)
        for record in records:
            producer.produce(
                names.RAW_TOPIC,
                record.value,
                record.account_id.encode("ascii"),
                headers=[(names.REPLAY_HEADER, str(record.position).encode("ascii"))],
                on_delivery=_reporter(record, report),
            )
            producer.poll(0)
        producer.flush(_DELIVERY_MS / 1000 + 5)

    def _bounds(self) -> dict[int, tuple[int, int]]:
        topics = topic_offsets(self._kafka, (names.RAW_TOPIC,))
        if not topics:
            raise NotRunning(f"Kafka at {self._kafka} has no topic {names.RAW_TOPIC}. Start the pipeline: pipeline up")
        return {partition.partition: (partition.earliest, partition.end) for partition in topics[0].partitions}


def _reporter(record: Outgoing, report: Report) -> Callable[[KafkaError | None, Message], None]:
    def delivered(error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None:
            report(record, None, error.str())
        elif partition is None or offset is None or offset < 0:  # acknowledged as a duplicate of its own retry
            report(record, None, "the broker has it and did not say where")
        else:
            report(record, Position(names.RAW_TOPIC, partition, offset), "")

    return delivered


def _has_ended(message: Message, ends: Mapping[int, int]) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise NotRunning(f"the raw topic cannot be read: {error.str()}. Look at: pipeline status")
    end = ends.get(message.partition() or 0)
    # Where an open transaction begins, reading ends short of the end, and goes on when it is over.
    reached = (message.offset() or 0) + (error is None)
    return end is not None and reached >= end


def _note(message: Message, headers: Mapping[bytes, Position], found: dict[Position, Position]) -> None:
    # Of several headers of one name the last counts, as it does for Flink.
    value = dict(message.headers() or ()).get(names.REPLAY_HEADER)
    if isinstance(value, bytes) and (position := headers.get(value)):
        found.setdefault(position, Position(names.RAW_TOPIC, message.partition() or 0, message.offset() or 0))
