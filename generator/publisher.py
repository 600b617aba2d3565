"""Hands records to Kafka and learns how each send ended. The only place that knows librdkafka.

A broker that is away is a state, not an error: records wait in a bounded queue, then the caller waits. Nothing is
retried here: librdkafka does that, in order and without duplicates (idempotence).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from contracts.errors import ComponentFailed

_log = structlog.get_logger()

# Ten minutes without a broker must cost nothing: an hour of retries. The queue's bounds keep memory flat meanwhile.
_DELIVERY_TIMEOUT_MS = 3_600_000
_QUEUE_RECORDS, _QUEUE_KILOBYTES = 100_000, 65_536
_FLUSH_SECONDS = 10.0
# Above this rate records fill a batch by themselves within a few ms, and fewer requests leave the broker more room.
_HIGH_RATE = 1_000

# Answers of a broker after which the record may be in the log all the same.
_UNSETTLING = frozenset(
    {KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND}
)


class Outcome(StrEnum):
    """How a send ended: in the log, surely not in the log, or not known."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


Settle = Callable[[int, Outcome, int | None, int | None], None]
"""Told for each record once: its sequence number, the outcome, and where ok its partition and offset."""


class Position(Protocol):
    """The part of confluent_kafka.Message that is used here: where a record lies."""

    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...


class ProducerLike(Protocol):
    """The part of confluent_kafka.Producer that is used here."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes,
        *,
        on_delivery: Callable[[KafkaError | None, Position], None],
    ) -> None: ...
    def poll(self, timeout: float, /) -> int: ...
    def flush(self, timeout: float, /) -> int: ...
    def purge(self, *, in_queue: bool, in_flight: bool) -> None: ...
    def __len__(self) -> int: ...


@dataclass
class Counts:
    """Records so far. Those handed over and not settled are still under way."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0


def producer_settings(bootstrap_servers: str, *, rate: float) -> dict[str, str | int | bool]:
    """librdkafka's settings for `rate` records a second (0: unlimited)."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "generator",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 1 if 0 < rate <= _HIGH_RATE else 5,
        "compression.type": "lz4",
        # The hash of Java clients (librdkafka's own default is CRC32): whoever else produces to the topic puts an
        # account's records into the same partition, where their order is kept.
        "partitioner": "murmur2_random",
        "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
        "queue.buffering.max.messages": _QUEUE_RECORDS,
        "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
        "reconnect.backoff.max.ms": 5_000,
        "log_level": 0,  # librdkafka writes plain text to stderr; what matters comes through error_cb
    }


class Publisher:
    """Sends records to one topic.

    `settle` is called from within poll, send and close; `stopping` is asked while waiting for room in the queue.
    """

    def __init__(
        self,
        settings: dict[str, str | int | bool],
        topic: str,
        *,
        settle: Settle,
        stopping: Callable[[], bool],
        connect: Callable[[dict[str, object]], ProducerLike] = Producer,
    ) -> None:
        self._topic, self._settle, self._stopping = topic, settle, stopping
        self._away = False
        self._fatal: KafkaError | None = None
        self.counts = Counts()
        self._producer = connect({**settings, "error_cb": self._on_error})

    def __len__(self) -> int:
        """Records under way."""
        return len(self._producer)

    def poll(self) -> None:
        """Takes in delivery reports without waiting. Raises ComponentFailed where the producer cannot go on."""
        self._producer.poll(0)
        if self._fatal is not None:
            raise ComponentFailed(
                f"the Kafka producer cannot continue: {self._fatal.str()}. Start the generator again."
            )

    def send(self, first: int, keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Hands over records numbered from `first` on, waiting where the queue is full."""
        for sequence, (key, value) in enumerate(zip(keys, values, strict=True), start=first):
            self._send(key, value, on_delivery=partial(self._delivered, sequence), sequence=sequence)
        self.poll()

    def close(self) -> None:
        """Waits at most 10 s for what is under way. What is left then has an unknown outcome."""
        if self._producer.flush(_FLUSH_SECONDS):
            self._producer.purge(in_queue=True, in_flight=True)
            self._producer.flush(1.0)

    def _send(
        self,
        key: bytes,
        value: bytes | None,
        *,
        on_delivery: Callable[[KafkaError | None, Position], None],
        sequence: int,
    ) -> None:
        self.counts.sent += 1
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=on_delivery)
                return
            except BufferError:
                if self._stopping() or self._fatal is not None:
                    break
                self._producer.poll(0.1)
            except KafkaException as refusal:
                error = refusal.args[0]
                if error.fatal():
                    self._fatal = error
                else:
                    _log.warning("record_refused", sequence=sequence, reason=error.str())
                break
        self._settled(sequence, Outcome.FAILED)

    def _delivered(self, sequence: int, error: KafkaError | None, position: Position) -> None:
        if error is None:
            if self._away:
                self._away = False
                _log.info("broker_back", under_way=len(self))
            self.counts.ok += 1
            self._settle(sequence, Outcome.OK, position.partition(), position.offset())
        elif error.code() > 0 and error.code() not in _UNSETTLING:
            self._settled(sequence, Outcome.FAILED)
        else:
            # Negative codes are librdkafka's own: it gave up waiting, and the broker may have written the record.
            self._settled(sequence, Outcome.UNKNOWN)

    def _settled(self, sequence: int, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED:
            self.counts.failed += 1
        else:
            self.counts.unknown += 1
        self._settle(sequence, outcome, None, None)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if not self._away:
                _log.warning("broker_away", reason=error.str(), under_way=len(self))
            self._away = True
        else:
            _log.debug("producer_error", reason=error.str())
