"""A Kafka producer without a broker, whose deliveries the test decides.

As far as the generator can tell it behaves like librdkafka's; tests/unit/generator/test_publisher.py holds both to it.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from generator.lanes import OnDelivery

NOBODY = "127.0.0.1:1"
"""The address at which no broker ever answers."""


@dataclass(frozen=True)
class FakeReport:
    """A delivery report. An offset of None: acknowledged, and nobody knows where it is."""

    sent_key: bytes
    sent_value: bytes | None
    place: int | None

    def key(self) -> bytes:
        return self.sent_key

    def value(self) -> bytes | None:
        return self.sent_value

    def offset(self) -> int | None:
        return self.place


@dataclass(frozen=True)
class FakePartition:
    leader: int = 1


@dataclass(frozen=True)
class FakeTopic:
    partitions: dict[int, FakePartition]
    error: KafkaError | None = None


@dataclass(frozen=True)
class FakeMetadata:
    topics: dict[str, FakeTopic]


@dataclass
class FakeProducer:
    """Delivers at poll what was produced, as `answer` says for each record by its number; holds at most `room` records.

    `refuses` says which records it does not take at all. Nobody answers where `away`, or where the address is NOBODY.
    """

    room: int = 1_000_000
    away: bool = False
    topic: FakeTopic = field(default_factory=lambda: FakeTopic({number: FakePartition() for number in range(4)}))
    answer: Callable[[int], KafkaError | None] = lambda number: None
    refuses: Callable[[bytes | None], KafkaError | None] = lambda value: None
    settings: dict[str, Any] = field(default_factory=dict)
    records: list[tuple[str, bytes, bytes | None]] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    _ends: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    _waiting: list[tuple[int, OnDelivery]] = field(default_factory=list)

    def connect(self, settings: dict[str, object]) -> "FakeProducer":
        self.settings = settings
        self.room = min(self.room, int(str(settings["queue.buffering.max.messages"])))
        self.away = self.away or settings["bootstrap.servers"] == NOBODY
        return self

    def produce_batch(
        self, topic: str, messages: list[dict[str, Any]], partition: int = -1, *, on_delivery: OnDelivery
    ) -> int:
        accepted, full = 0, False
        for message in messages:
            full = full or len(self._waiting) >= self.room
            error = KafkaError(KafkaError._QUEUE_FULL) if full else self.refuses(message["value"])
            if error is not None:
                message["_error"] = error
                continue
            accepted += 1
            self._waiting.append((len(self.records), on_delivery))
            self.records.append((topic, message["key"], message["value"]))
            self.partitions.append(partition)
        return accepted

    def list_topics(self, topic: str, /, *, timeout: float) -> FakeMetadata:
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return FakeMetadata({topic: self.topic})

    def poll(self, timeout: float, /) -> int:
        return 0 if self.away else self._deliver(self.answer)

    def flush(self, timeout: float, /) -> int:
        self.poll(timeout)
        return len(self)

    def purge(self, *, in_queue: bool, in_flight: bool) -> None:
        self._deliver(lambda number: KafkaError(KafkaError._PURGE_QUEUE))

    def __len__(self) -> int:
        return len(self._waiting)

    def report(self, number: int, error: KafkaError | None = None, *, offset: int | None = None) -> FakeReport:
        """The report on a record that was produced."""
        _, key, value = self.records[number]
        return FakeReport(key, value, offset if error is None else None)

    def offsets(self) -> list[int]:
        """Of every record, where all were delivered."""
        ends: defaultdict[int, int] = defaultdict(int)
        found = []
        for partition in self.partitions:
            found.append(ends[partition])
            ends[partition] += 1
        return found

    def _deliver(self, answer: Callable[[int], KafkaError | None]) -> int:
        waiting, self._waiting = self._waiting, []
        for number, on_delivery in waiting:
            error = answer(number)
            partition = self.partitions[number]
            offset = self._ends[partition]
            self._ends[partition] += error is None
            on_delivery(error, self.report(number, error, offset=offset))
        return len(waiting)
