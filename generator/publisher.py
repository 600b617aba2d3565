"""Hands records to Kafka and learns how each send ended. The only place that calls librdkafka.

A broker that is away is a state, not an error: records wait in a bounded queue, the circuit opens, the caller waits.
Nothing is retried here: librdkafka does that, in order and without duplicates (idempotence).

Nothing here is done record by record that can be done for many: one callback serves a partition's records
(`lanes.py`).
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress, pairwise
from typing import Any, Protocol

import numpy as np
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from numpy.typing import NDArray

from contracts.errors import ComponentFailed, NotRunning
from generator.circuit import Circuit, State
from generator.lanes import Lane, OnDelivery

_log = structlog.get_logger()

_FLUSH_SECONDS = 10.0
_METADATA_SECONDS = 1.0
# A broker that hangs closes no connection, and librdkafka waits 60 s for its answer. A healthy one answers in ms.
_SILENCE_SECONDS = 20.0

# Answers of a broker after which the record may be in the log all the same.
_UNSETTLING = frozenset(
    {KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION, KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND}
)
# Reports of our own wish to forget: they tell nothing about the broker.
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
_TRANSACTION_ID = re.compile(rb'"transaction_id"\s*:\s*"([\w-]{1,64})"', re.ASCII)


class Outcome(StrEnum):
    """How a send ended: in the log, surely not in the log, or not known."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


Settle = Callable[[NDArray[np.int64], Outcome, NDArray[np.int32] | None, NDArray[np.int64] | None], None]
"""Told for each record once: sequence numbers, their outcome, and where ok the partitions and offsets.

An offset is -1 where the broker has the record and did not say where (librdkafka saw it by a later acknowledgement).
"""


class ProducerLike(Protocol):
    """The part of confluent_kafka.Producer that is used here."""

    def produce_batch(
        self, topic: str, messages: list[dict[str, Any]], partition: int = -1, *, on_delivery: OnDelivery
    ) -> int: ...
    def list_topics(self, topic: str, /, *, timeout: float) -> Any: ...
    def poll(self, timeout: float, /) -> int: ...
    def flush(self, timeout: float, /) -> int: ...
    def purge(self, *, in_queue: bool, in_flight: bool) -> None: ...


@dataclass
class Counts:
    """Records so far. Those handed over and not settled are still under way."""

    sent: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0


class Publisher:
    """Sends records to one topic.

    `settle` is called from within poll, send and close. While send waits for room in the queue it asks `stopping`, and
    calls `waiting`, about every 0.1 s. `circuit` is made here; who draws records asks it before.
    """

    def __init__(
        self,
        settings: dict[str, str | int | bool],
        topic: str,
        *,
        settle: Settle,
        stopping: Callable[[], bool],
        waiting: Callable[[], None] = lambda: None,
        connect: Callable[[dict[str, object]], ProducerLike] = Producer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic, self._settle, self._stopping, self._waiting = topic, settle, stopping, waiting
        self._most = int(settings["queue.buffering.max.messages"])
        self._lanes: dict[int, Lane] = {}
        self._fatal: KafkaError | None = None
        self._down = ""
        self._clock, self._heard_at = clock, clock()
        self.counts = Counts()
        self._producer = connect({**settings, "error_cb": self._on_error})
        self.circuit = Circuit(self._probe, self.__len__, clock=clock)

    def __len__(self) -> int:
        """Records under way. (librdkafka's own count has its events in it as well.)"""
        return self.counts.sent - self.counts.ok - self.counts.failed - self.counts.unknown

    def partitions(self) -> int | None:
        """How many partitions the topic has; None while the broker does not tell. Waits for it up to 1 s.

        Raises NotRunning where there is no such topic, and ComponentFailed where it may not be used.
        """
        try:
            topic = self._metadata()
        except KafkaException:
            return None
        if topic.error is None:
            return len(topic.partitions) or None
        if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise NotRunning(f"the broker has no topic {self._topic}. Start the pipeline, which makes it: pipeline up")
        if topic.error.code() == KafkaError.LEADER_NOT_AVAILABLE:
            return None
        raise ComponentFailed(f"the topic {self._topic} cannot be used: {topic.error.str()}. Mend that in Kafka.")

    def poll(self) -> None:
        """Takes in delivery reports without waiting. Raises ComponentFailed where the producer cannot go on."""
        self._serve(0)
        if self._fatal is not None:
            raise ComponentFailed(
                f"the Kafka producer cannot continue: {self._fatal.str()}. Start the generator again."
            )

    def send(
        self,
        first: int,
        keys: Sequence[bytes],
        values: Sequence[bytes | None],
        partitions: NDArray[np.integer[Any]],
    ) -> None:
        """Hands over records numbered from `first` on, each to its partition, waiting where the queue is full.

        On a stop what did not fit is settled as failed. Raises ComponentFailed where the producer cannot go on.
        """
        for partition, places in _by_partition(partitions):
            chosen = places.tolist()
            self._hand_over(
                self._lanes.get(partition) or self._lanes.setdefault(partition, Lane(partition)),
                places + first,
                list(map(keys.__getitem__, chosen)),
                list(map(values.__getitem__, chosen)),
            )
        self.poll()

    def close(self) -> None:
        """Waits at most 10 s for what is under way. What is left then has an unknown outcome."""
        if self._producer.flush(_FLUSH_SECONDS):
            self._producer.purge(in_queue=True, in_flight=True)
            self._producer.flush(1.0)
        self._take_reports()
        for lane in self._lanes.values():
            self._settled(lane.take_rest(), Outcome.UNKNOWN)

    def _hand_over(
        self, lane: Lane, sequences: NDArray[np.int64], keys: Sequence[bytes], values: Sequence[bytes | None]
    ) -> None:
        # The partition is an argument of the call and no entry of the messages: produce_batch of confluent-kafka 2.16
        # reads that entry and lets the partitioner decide all the same.
        messages: list[dict[str, Any]] = [{"value": value, "key": key} for value, key in zip(values, keys, strict=True)]
        at, count = 0, len(messages)
        while at < count:
            room = self._most - len(self)
            if room >= count and not at:
                at = self._produce(lane, messages, sequences, keys, values)
            elif room > 0:
                part = slice(at, at + room)
                at += self._produce(lane, messages[part], sequences[part], keys[part], values[part])
            if at < count:
                if self._stopping() or self._fatal is not None:
                    self.counts.sent += count - at
                    self._settled(sequences[at:], Outcome.FAILED)
                    return
                self._serve(0.1)
                self.circuit.allows()
                self._waiting()

    def _produce(
        self,
        lane: Lane,
        messages: list[dict[str, Any]],
        sequences: NDArray[np.int64],
        keys: Sequence[bytes],
        values: Sequence[bytes | None],
    ) -> int:
        """Returns how many of the records, from the first on, are under way or settled; the others found no room."""
        accepted = self._producer.produce_batch(self._topic, messages, lane.partition, on_delivery=lane.on_delivery)
        if accepted == len(messages):
            self.counts.sent += accepted
            lane.push(sequences, keys, values)
            return accepted
        errors = [message.pop("_error", None) for message in messages]
        full = next(
            (place for place, error in enumerate(errors) if error and error.code() == KafkaError._QUEUE_FULL),
            len(errors),
        )
        went = np.array([error is None for error in errors[:full]], dtype=bool)
        lane.push(sequences[:full][went], list(compress(keys, went)), list(compress(values, went)))
        if accepted != went.sum():
            raise ComponentFailed(
                f"librdkafka took {accepted} records where {went.sum()} were expected: their order is lost. Please "
                "report it"
            )
        self.counts.sent += full
        refused = [(int(sequences[place]), values[place], error) for place, error in enumerate(errors[:full]) if error]
        self._refused(refused)
        return full

    def _refused(self, refused: Sequence[tuple[int, bytes | None, KafkaError]]) -> None:
        for sequence, value, error in refused:
            if error.fatal() or error.code() == KafkaError._FATAL:
                self._fatal = error
            else:
                transaction = _transaction_id(value)
                _log.warning("record_refused", transaction_id=transaction, sequence=sequence, reason=error.str())
        self._settled(np.array([sequence for sequence, _, _ in refused], dtype=np.int64), Outcome.FAILED)

    def _serve(self, seconds: float) -> None:
        """Lets librdkafka call back, waiting up to `seconds` for something to come."""
        self._producer.poll(seconds)
        heard = self._take_reports()
        now = self._clock()
        if heard or self.circuit.state is not State.CLOSED or not len(self):
            self._heard_at = now
        elif now - self._heard_at > _SILENCE_SECONDS:
            self._down = f"no acknowledgement for {_SILENCE_SECONDS:.0f} s"
        # After the reports: they are of the time before.
        if self._down:
            self.circuit.trip(self._down)
            self._down = ""

    def _take_reports(self) -> bool:
        """Settles what was reported. Returns whether there was anything."""
        delivered, failed = False, 0
        error: KafkaError | None = None
        for lane in self._lanes.values():
            # Failures first: the successes are then those whose turn it is.
            if lane.failed:
                error = lane.failed[-1][0]
                failed += self._settle_failures(lane.take_failed())
            if lane.delivered:
                delivered = True
                sequences, offsets = lane.take_delivered()
                self.counts.ok += len(sequences)
                partitions = np.full(len(sequences), lane.partition, dtype=np.int32)
                self._settle(sequences, Outcome.OK, partitions, offsets)
        if delivered:
            self.circuit.delivered()
        elif failed and error is not None:
            self.circuit.failed(failed, f"deliveries fail: {error.str()}")
        return delivered or error is not None

    def _settle_failures(self, failures: list[tuple[int, KafkaError]]) -> int:
        """Returns how many of them tell something about the broker."""
        failed = [sequence for sequence, error in failures if _surely_failed(error)]
        unknown = [sequence for sequence, error in failures if not _surely_failed(error)]
        self._settled(np.array(failed, dtype=np.int64), Outcome.FAILED)
        self._settled(np.array(unknown, dtype=np.int64), Outcome.UNKNOWN)
        return sum(error.code() not in _PURGED for _, error in failures)

    def _settled(self, sequences: NDArray[np.int64], outcome: Outcome) -> None:
        if not len(sequences):
            return
        if outcome is Outcome.FAILED:
            self.counts.failed += len(sequences)
        else:
            self.counts.unknown += len(sequences)
        self._settle(sequences, outcome, None, None)

    def _probe(self) -> str | None:
        try:
            topic = self._metadata()
        except KafkaException as error:
            return str(error.args[0].str())
        if topic.error is not None:
            return str(topic.error.str())
        # A broker that was killed answers before it may lead: until its former session has ended, 9 s.
        leaderless = sum(partition.leader < 0 for partition in topic.partitions.values())
        return f"{leaderless} of {len(topic.partitions)} partitions have no leader" if leaderless else None

    def _metadata(self) -> Any:  # confluent_kafka declares no type for it
        return self._producer.list_topics(self._topic, timeout=_METADATA_SECONDS).topics[self._topic]

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._down = error.str()
        else:
            _log.debug("producer_error", reason=error.str())


def _by_partition(partitions: NDArray[np.integer[Any]]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each partition that occurs, and the places where it does, in order."""
    order = np.argsort(partitions, kind="stable")
    ordered = partitions[order]
    starts = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(ordered)]
    for start, end in pairwise(starts):
        if start < end:
            yield int(ordered[start]), order[start:end]


def _transaction_id(value: bytes | None) -> str | None:
    """As far as it can be seen: a malformed record need not be JSON."""
    found = _TRANSACTION_ID.search(value or b"")
    return found[1].decode() if found else None


def _surely_failed(error: KafkaError) -> bool:
    # Negative codes are librdkafka's own: it gave up waiting, and the broker may have written the record.
    return error.code() > 0 and error.code() not in _UNSETTLING
