"""The records under way to a partition, and which of them a delivery report is of.

That follows from the order: an idempotent producer reports the successes of a partition in the order in which they were
produced. It is held against the offsets, and against the bytes of the last record. A callback for each record, which
would say so itself, costs twice as much.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import methodcaller
from typing import Any, Protocol

import numpy as np
from confluent_kafka import KafkaError
from numpy.typing import NDArray

from contracts.errors import ComponentFailed

_offset = methodcaller("offset")


class Report(Protocol):
    """The part of confluent_kafka.Message that is used here: which record it was, and where it lies."""

    def key(self) -> Any: ...  # bytes, but declared as what a consumer may make of them
    def value(self) -> Any: ...
    def offset(self) -> int | None: ...


OnDelivery = Callable[[KafkaError | None, Any], None]


@dataclass(slots=True)
class _Chunk:
    """Records that were handed over together. The first `taken` of them are settled."""

    sequences: NDArray[np.int64]
    keys: Sequence[bytes]
    values: Sequence[bytes | None]
    taken: int = 0


class Lane:
    """The records under way to one partition, oldest first, and the reports on them that were not yet read."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.delivered: list[Report] = []
        self.failed: list[tuple[KafkaError, Report]] = []
        self._chunks: deque[_Chunk] = deque()
        self._last_offset = -1
        on_success, on_failure = self.delivered.append, self.failed.append

        def on_delivery(error: KafkaError | None, report: Report) -> None:
            if error is None:
                on_success(report)
            else:
                on_failure((error, report))

        self.on_delivery = on_delivery

    def push(self, sequences: NDArray[np.int64], keys: Sequence[bytes], values: Sequence[bytes | None]) -> None:
        """Notes records that librdkafka took. Before the next poll, which may already report on them."""
        if len(sequences):
            self._chunks.append(_Chunk(sequences, keys, values))

    def take_delivered(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Sequences and offsets of the records that were reported as delivered. Raises ComponentFailed."""
        offsets = self._offsets()
        last, count = self.delivered[-1], len(self.delivered)
        self.delivered.clear()
        parts: list[NDArray[np.int64]] = []
        while count:
            if not self._chunks:
                raise self._lost_track("more records were reported than sent")
            chunk = self._chunks[0]
            parts.append(chunk.sequences[chunk.taken : chunk.taken + count])
            chunk.taken += len(parts[-1])
            count -= len(parts[-1])
            if chunk.taken == len(chunk.sequences):
                self._chunks.popleft()
        if _identity(last.key(), last.value()) != _identity(chunk.keys[chunk.taken - 1], chunk.values[chunk.taken - 1]):
            raise self._lost_track("a report is of another record than the one whose turn it is")
        return np.concatenate(parts), offsets

    def take_failed(self) -> list[tuple[int, KafkaError]]:
        """Sequences and errors of the records that were reported as failed. Raises ComponentFailed.

        A failure may come out of turn (a record too large for its topic, one that timed out), so it is found by its
        bytes; of several alike the oldest. Looks at every record of the lane: a purge reports 100,000 in one go.
        """
        rest = self._joined()
        places: dict[tuple[bytes, bytes | None], list[int]] = {}
        for place in range(len(rest.sequences) - 1, -1, -1):
            places.setdefault(_identity(rest.keys[place], rest.values[place]), []).append(place)
        stays = np.ones(len(rest.sequences), dtype=bool)
        found = []
        for error, report in self.failed:
            alike = places.get(_identity(report.key(), report.value()))
            if not alike:
                raise self._lost_track("a failure was reported of a record that is not under way")
            place = alike.pop()
            stays[place] = False
            found.append((int(rest.sequences[place]), error))
        self.failed.clear()
        self.push(rest.sequences[stays], list(compress(rest.keys, stays)), list(compress(rest.values, stays)))
        return found

    def take_rest(self) -> NDArray[np.int64]:
        """Sequences of everything that nothing was reported of."""
        return self._joined().sequences

    def _joined(self) -> _Chunk:
        """All that is under way as one chunk, which is no longer in the lane."""
        chunks = list(self._chunks)
        self._chunks.clear()
        return _Chunk(
            np.concatenate([np.empty(0, dtype=np.int64), *(chunk.sequences[chunk.taken :] for chunk in chunks)]),
            [key for chunk in chunks for key in chunk.keys[chunk.taken :]],
            [value for chunk in chunks for value in chunk.values[chunk.taken :]],
        )

    def _offsets(self) -> NDArray[np.int64]:
        try:
            offsets = np.fromiter(map(_offset, self.delivered), dtype=np.int64, count=len(self.delivered))
        except TypeError:  # None: acknowledged without a place
            told = [report.offset() for report in self.delivered]
            offsets = np.array([-1 if offset is None else offset for offset in told], dtype=np.int64)
        known = offsets[offsets >= 0]
        if len(known):
            if known[0] <= self._last_offset or (known[1:] <= known[:-1]).any():
                raise self._lost_track("offsets do not ascend in the order of the reports")
            self._last_offset = int(known[-1])
        return offsets

    def _lost_track(self, what: str) -> ComponentFailed:
        return ComponentFailed(
            f"deliveries to partition {self.partition} were not reported in the order of sending: {what} (the last "
            f"offset is {self._last_offset}). If the topic was made anew, start the generator again; else the ledger "
            "of this run cannot be trusted, please report it"
        )


def _identity(key: bytes, value: bytes | None) -> tuple[bytes, bytes | None]:
    return key, value or None  # a report may tell an empty value as none
