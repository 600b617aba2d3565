"""Finds the transactions that hold readers back: open ones, behind whose first record nothing can be read yet.

That there is one, and since when, is told by offsets alone. Its producer is asked of kafka-python: librdkafka has no
such request.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from pipeline_assets.lib.kafka_offsets import Place, TopicOffsets

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

# An ordinary transaction is over sooner.
NOTED_SECONDS = 5.0
_SETTLED = ("Empty", "CompleteCommit", "CompleteAbort", "Dead")


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction that is open: readers of the partition get nothing from `first_offset` on before it has ended.

    `producer_id` and `producer_epoch` are None if the broker does not tell. `timeout_seconds`, after which the broker
    ends it, and `transactional_id` are None as well if it no longer knows of the transaction: then nothing ends it.
    """

    topic: str
    partition: int
    first_offset: int
    age_seconds: float
    producer_id: int | None = None
    producer_epoch: int | None = None
    transactional_id: str | None = None
    timeout_seconds: float | None = None

    def __str__(self) -> str:
        """Return it in words."""
        whose = "of an unknown producer" if self.producer_id is None else f"of the producer {self.producer_id}"
        named = f" (transactional id {self.transactional_id})" if self.transactional_id is not None else ""
        place = f"{self.topic}/{self.partition}/{self.first_offset}"
        return f"at {place}, {whose}{named}, open for {self.age_seconds:.0f} s"


def open_transactions(
    kafka: KafkaAccess, topics: Sequence[TopicOffsets], *, timeout: float = 5.0
) -> tuple[OpenTransaction, ...]:
    """Return what has held back a reader of `topics` for longer than `NOTED_SECONDS`, the oldest first.

    Raises NotRunning if the broker does not answer in time.
    """
    held = {
        (topic.topic, partition): offset
        for topic in topics
        if names.READERS[topic.topic]
        for partition, offset in topic.held_back.items()
    }
    if not held:
        return ()
    now = datetime.now(UTC).timestamp()
    sent = _sent_at(kafka, held, timeout)
    found = [
        OpenTransaction(*place, first_offset=held[place], age_seconds=round(now - at, 1))
        for place, at in sent.items()
        if now - at > NOTED_SECONDS
    ]
    return tuple(sorted(_named(kafka, found, timeout), key=lambda each: each.age_seconds, reverse=True))


def _sent_at(kafka: KafkaAccess, held: Mapping[Place, int], timeout: float) -> dict[Place, float]:
    """Return when the record at each place was written, in seconds since the epoch."""
    consumer = Consumer({**kafka.observer(), "isolation.level": "read_uncommitted", "queued.min.messages": 1})
    found: dict[Place, float] = {}
    deadline = time.monotonic() + timeout
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in held.items()])
        while len(found) < len(held):
            message = consumer.poll(max(0.0, deadline - time.monotonic()))
            if message is None:
                raise NotRunning(f"Kafka at {kafka} has not sent the first records of open transactions")
            if problem := message.error():
                raise KafkaException(problem)
            found.setdefault((message.topic() or "", message.partition() or 0), message.timestamp()[1] / 1000)
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return found


def _named(kafka: KafkaAccess, found: Sequence[OpenTransaction], timeout: float) -> Sequence[OpenTransaction]:
    """Add to each whose it is, as far as the broker tells."""
    if not found:
        return ()
    # Imported here: it takes 0.3 s, and is hardly ever needed.
    from kafka.errors import KafkaError as Refusal

    named = found
    with suppress(Refusal, OSError), _admin(kafka, timeout) as admin:
        named = [_with_producer(admin, each) for each in found]
        named = [_with_transaction(admin, each) for each in named]
    return named


@contextmanager
def _admin(kafka: KafkaAccess, timeout: float) -> "Iterator[KafkaAdminClient]":
    """Open kafka-python's client; one that cannot reach the broker would leave a thread behind."""
    from kafka.admin import KafkaAdminClient

    opened = []

    def network(**settings: Any) -> Any:
        opened.append(KafkaAdminClient.DEFAULT_CONFIG["kafka_client"](**settings))
        return opened[-1]

    milliseconds = int(timeout * 1000)
    limits = {"bootstrap_timeout_ms": milliseconds, "request_timeout_ms": milliseconds}
    try:
        with KafkaAdminClient(**kafka.kafka_python(), **limits, kafka_client=network) as admin:
            yield admin
    finally:
        for each in opened:
            each.close()


def _with_producer(admin: "KafkaAdminClient", one: OpenTransaction) -> OpenTransaction:
    from kafka.structs import TopicPartition as Asked

    (state,) = admin.describe_producers([Asked(one.topic, one.partition)]).values()
    for producer in state.active_producers:
        if producer.current_transaction_start_offset == one.first_offset:
            return replace(one, producer_id=producer.producer_id, producer_epoch=producer.producer_epoch)
    return one  # it has ended meanwhile


def _with_transaction(admin: "KafkaAdminClient", one: OpenTransaction) -> OpenTransaction:
    """Add what the coordinator of transactions knows; it knows nothing of one that will never end."""
    if one.producer_id is None:
        return one
    listed = admin.list_transactions(producer_id_filters=[one.producer_id]).values()
    for listing in (each for of_broker in listed for each in of_broker if each.state not in _SETTLED):
        (known,) = admin.describe_transactions([listing.transactional_id]).values()
        seconds = known.transaction_timeout_ms / 1000
        return replace(one, transactional_id=listing.transactional_id, timeout_seconds=seconds)
    return one
