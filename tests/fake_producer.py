"""A Kafka producer without a broker, whose deliveries the test decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from generator.publisher import Position


@dataclass(frozen=True)
class Place:
    number: int

    def partition(self) -> int:
        return self.number % 2

    def offset(self) -> int:
        return self.number // 2


@dataclass
class FakeProducer:
    """Delivers at poll what was produced, as `answer` says for each record; holds at most `room` records."""

    room: int = 1_000_000
    away: bool = False
    answer: Callable[[int], KafkaError | None] = lambda number: None
    refusal: KafkaException | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    records: list[tuple[str, bytes, bytes | None]] = field(default_factory=list)
    _waiting: list[tuple[int, Callable[[KafkaError | None, Position], None]]] = field(default_factory=list)

    def connect(self, settings: dict[str, object]) -> "FakeProducer":
        self.settings = settings
        return self

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes,
        *,
        on_delivery: Callable[[KafkaError | None, Position], None],
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        if len(self._waiting) >= self.room:
            raise BufferError("Local: Queue full")
        self._waiting.append((len(self.records), on_delivery))
        self.records.append((topic, key, value))

    def poll(self, timeout: float, /) -> int:
        return 0 if self.away else self._deliver(self.answer)

    def flush(self, timeout: float, /) -> int:
        self.poll(timeout)
        return len(self)

    def purge(self, *, in_queue: bool, in_flight: bool) -> None:
        self._deliver(lambda number: KafkaError(KafkaError._PURGE_QUEUE))

    def __len__(self) -> int:
        return len(self._waiting)

    def _deliver(self, answer: Callable[[int], KafkaError | None]) -> int:
        waiting, self._waiting = self._waiting, []
        for number, on_delivery in waiting:
            on_delivery(answer(number), Place(number))
        return len(waiting)
