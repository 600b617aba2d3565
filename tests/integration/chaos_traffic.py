"""Sends the mixture of `tests/chaos_records.py` into a running pipeline, and good traffic between it.

Each record's place in Kafka is noted with the fate that it must have; of good ones, when they were sent and when the
alert of each could be read.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from contracts import names
from contracts.addresses import Addresses
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.chaos_kinds import Foreign, of_contract
from tests.nasty_records import VALID, compact

# The first number of the accounts of good traffic.
GOOD = 600_000_000
_HOUR_MS = 3_600_000
# Larger than anything that is sent: what is too large is for the broker to refuse.
_ANY_SIZE = 10_000_000


NOTED = pa.schema(
    [
        ("topic", pa.string()),
        ("part", pa.int32()),
        ("place", pa.int64()),
        ("kind", pa.string()),
        ("fate", pa.string()),
        ("digest", pa.string()),
        ("name", pa.string()),
        ("moment", pa.timestamp("us", tz="UTC")),
        ("pointer", pa.string()),
    ]
)


@dataclass
class Notes:
    """Notes on what was sent: a row per record that the broker took, as in `NOTED`, and why it refused others."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def take(self, record: Foreign, error: KafkaError | None, message: Message) -> None:
        """Note one report of the broker."""
        if error is not None:
            self.refused[f"{record.kind}: {error.name()}"] += 1
            return
        digest = None if record.value is None else sha256(record.value).hexdigest()
        place = (record.topic, message.partition(), message.offset())
        self.rows.append((*place, record.kind, record.fate, digest, record.name, record.moment, record.pointer))

    def table(self) -> pa.Table:
        """Return the records that the broker took."""
        return pa.table(dict(zip(NOTED.names, zip(*self.rows, strict=True), strict=True)), schema=NOTED)


class Sender:
    """Sends foreign records, each by a producer of its codec, and notes what became of them."""

    def __init__(self, addresses: Addresses, notes: Notes) -> None:
        self._addresses, self._notes = addresses, notes
        self._producers: dict[str, Producer] = {}

    def send(self, record: Foreign) -> None:
        moment = time.time() * 1000 + record.hours * _HOUR_MS
        self._producer(record.codec).produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            headers=list(record.headers),
            timestamp=int(moment) if record.hours else 0,
            on_delivery=partial(self._notes.take, record),
        )

    def poll(self) -> None:
        """Take the reports that have come."""
        for producer in self._producers.values():
            producer.poll(0)

    def end(self) -> None:
        """Return when every record was taken or refused."""
        for producer in self._producers.values():
            assert producer.flush(60) == 0

    def _producer(self, codec: str) -> Producer:
        if codec not in self._producers:
            settings = {"compression.type": codec, "message.max.bytes": _ANY_SIZE, "linger.ms": 5, "log_level": 0}
            self._producers[codec] = Producer({**self._addresses.kafka.librdkafka(), **settings})
        return self._producers[codec]


@dataclass(frozen=True)
class Good:
    """A good record: its place, and when it was sent."""

    transaction_id: str
    partition: int
    sent: float


def good_records() -> Iterator[tuple[str, str, bytes]]:
    """Yield valid records that the high value's rule hits: their ids, accounts and values, dated as they are asked."""
    number = GOOD
    while True:
        number += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        own = {"transaction_id": f"00000000-0000-0000-0000-{number:012}", "account_id": f"ACC{number:09}"}
        record = {**VALID, **own, "timestamp": now, "amount": "99999.00", "currency": "USD"}
        yield own["transaction_id"], own["account_id"], compact(record)


class GoodTraffic:
    """Sends good records by a producer of its own, whose queue no stranger fills."""

    def __init__(self, addresses: Addresses, notes: Notes) -> None:
        # By the generator's partitioner: rules look at accounts, and one account's records belong into one partition.
        more = {"partitioner": "murmur2", "linger.ms": 1, "acks": "all", "log_level": 0}
        self._producer = Producer({**addresses.kafka.librdkafka(), **more})
        self._records, self._notes = good_records(), notes
        self.sent: list[Good] = []

    def send(self) -> None:
        transaction_id, account, value = next(self._records)
        report = partial(self._take, of_contract("good", value), transaction_id, time.monotonic())
        self._producer.produce(names.RAW_TOPIC, value, account.encode(), on_delivery=report)

    def wait(self, seconds: float) -> None:
        """Wait so long, taking the reports that come."""
        self._producer.poll(seconds)

    def end(self) -> None:
        """Return when every record was taken."""
        assert self._producer.flush(30) == 0

    def _take(
        self, record: Foreign, transaction_id: str, sent: float, error: KafkaError | None, message: Message
    ) -> None:
        assert error is None, error
        self._notes.take(record, error, message)
        self.sent.append(Good(transaction_id, message.partition() or 0, sent))


class Listener(threading.Thread):
    """Notes when the first alert of each good transaction can be read, and keeps the newest alert of the pipeline."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__(daemon=True)
        self.heard: dict[str, float] = {}
        self.newest: tuple[int, bytes] | None = None
        self.over = threading.Event()
        reading = {"group.id": "listener", "fetch.wait.max.ms": 5, "log_level": 0}
        self._consumer = Consumer({**addresses.kafka.librdkafka(), **reading})
        (topic,) = topic_offsets(addresses.kafka, (names.ALERT_TOPIC,))
        self._consumer.assign([TopicPartition(topic.topic, part.partition, part.end) for part in topic.partitions])

    def run(self) -> None:
        while not self.over.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._hear(time.monotonic(), message.partition() or 0, message.value())
        self._consumer.close()

    def _hear(self, now: float, partition: int, value: bytes | None) -> None:
        # Strangers write into the topic: only what names a good transaction is looked at.
        if value is None or len(value) > 5_000 or b'"00000000-0000-0000-0000-0006' not in value:
            return
        self.heard.setdefault(json.loads(value)["transaction_id"], now)
        self.newest = (partition, value)
