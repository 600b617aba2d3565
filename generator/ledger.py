"""The ledger: what was sent, what it was meant to be, and how the send ended, as Parquet files in one folder.

It is the known answer that a run is scored by; nothing in it travels in a record. A file appears complete or not at
all, once every record in it has an outcome; the records of the last minute are lost if the process is killed.
Raises MachineError where the disk refuses: at the call after that.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.errors import MachineError
from generator.config import LedgerConfig
from generator.malformed import MALFORMATIONS
from generator.publisher import Outcome
from generator.traffic import DISTURBANCES, NO_INCIDENT, SCENARIOS, Batch

_TEXT = pa.dictionary(pa.int8(), pa.string())
_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("run", _TEXT, nullable=False),  # names the run, and sorts after earlier ones
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("transaction_id", pa.string()),  # null where the record is malformed so that it has none
        pa.field("account_id", pa.string(), nullable=False),  # the message key, of malformed records too
        pa.field("scenario", _TEXT, nullable=False),  # ordinary, or a fraud scenario's label
        pa.field("incident", pa.int64()),  # the records of one incident share its number; null for ordinary ones
        pa.field("disturbance", _TEXT),  # late, clock_skew, duplicate, or what broke a malformed record
        pa.field("expected", _TEXT, nullable=False),  # valid, malformed
        pa.field("expected_reason", _TEXT),  # reason_code of the dead-letter contract
        pa.field("outcome", _TEXT, nullable=False),  # ok, failed, unknown
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("event_time", _TIME, nullable=False),
        pa.field("sent_at", _TIME, nullable=False),
    ]
)
_REPEATING = [column.name for column in SCHEMA if column.type == _TEXT]
_SUFFIX = ".parquet"
_MOST_WRITING = 3

_OUTCOMES = tuple(Outcome)
_UNKNOWN = _OUTCOMES.index(Outcome.UNKNOWN)
_WAYS = [MALFORMATIONS.get(name or "") for name in DISTURBANCES]
_REASONS = sorted({way.reason for way in MALFORMATIONS.values()})
# By the code of a disturbance: the reason's code (-1: none), and whether the record has its id.
_REASON = np.array([_REASONS.index(way.reason) if way else -1 for way in _WAYS], dtype=np.int8)
_IDENTIFIED = np.array([way is None or way.identified for way in _WAYS])


@dataclass
class _Page:
    """Rows of one future file, as columns in pieces. Outcomes are filled in as they become known."""

    first: int
    opened_at: float
    rows: int = 0
    under_way: int = 0
    pieces: list[tuple[NDArray[np.generic], ...]] = field(default_factory=list)
    outcome: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    partition: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    offset: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def add(self, batch: Batch, start: int, stop: int, sent_at_ms: int) -> None:
        part, count = slice(start, stop), stop - start
        self.pieces.append(
            (
                batch.transaction_id[part],
                batch.account_id[part],
                batch.scenario[part],
                batch.incident[part],
                batch.disturbance[part],
                batch.event_ms[part],
                np.full(count, sent_at_ms, dtype=np.int64),
            )
        )
        room = len(self.outcome)
        if self.rows + count > room:
            more = max(count, room)
            self.outcome = np.append(self.outcome, np.full(more, _UNKNOWN, dtype=np.int8))
            self.partition = np.append(self.partition, np.full(more, -1, dtype=np.int32))
            self.offset = np.append(self.offset, np.full(more, -1, dtype=np.int64))
        self.rows += count
        self.under_way += count

    def table(self, run: str, metadata: dict[str, str]) -> pa.Table:
        ids, accounts, scenario, incident, disturbance, event_ms, sent_ms = (
            np.concatenate(column) for column in zip(*self.pieces, strict=True)
        )
        reason = _REASON[disturbance]
        partition, offset = self.partition[: self.rows], self.offset[: self.rows]
        columns = {
            "run": _coded(np.zeros(self.rows, dtype=np.int8), (run,)),
            "seq": pa.array(np.arange(self.first, self.first + self.rows)),
            "transaction_id": _texts(ids, missing=~_IDENTIFIED[disturbance]),
            "account_id": _texts(accounts),
            "scenario": _coded(scenario, SCENARIOS),
            "incident": pa.array(incident, mask=incident == NO_INCIDENT),
            "disturbance": _coded(disturbance, DISTURBANCES, missing=disturbance == 0),
            "expected": _coded((reason >= 0).astype(np.int8), ("valid", "malformed")),
            "expected_reason": _coded(reason, _REASONS, missing=reason < 0),
            "outcome": _coded(self.outcome[: self.rows], _OUTCOMES),
            "partition": pa.array(partition, mask=partition < 0),
            "offset": pa.array(offset, mask=offset < 0),
            "event_time": pa.array(event_ms, pa.int64()).cast(_TIME),
            "sent_at": pa.array(sent_ms, pa.int64()).cast(_TIME),
        }
        return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA.with_metadata(metadata))


def _coded(
    codes: NDArray[np.generic], texts: Sequence[str | None], missing: NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int8), mask=missing), pa.array([text or "" for text in texts], pa.string())
    )


def _texts(text: NDArray[np.uint8], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Rows of fixed-width ASCII as strings."""
    rows, width = text.shape
    offsets = pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * width)
    valid = None if missing is None else pa.array(~missing).buffers()[1]
    return pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(np.ascontiguousarray(text)), valid)


class Ledger:
    """Writes to `folder`; `run` names this run's files and sorts after earlier runs' (a UTC time does)."""

    def __init__(
        self,
        folder: Path,
        config: LedgerConfig,
        *,
        run: str,
        metadata: dict[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._config, self._run, self._clock = folder, config, run, clock
        self._metadata = metadata or {}
        self._pages: deque[_Page] = deque()
        self._next, self._files = 0, 0
        # A thread of its own: a page takes some 80 ms, in which records would have to wait.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._writing: deque[Future[None]] = deque()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"the ledger's folder cannot be made: {error}. Choose another: --ledger.") from error
        # Listed once: with 50,000 files a look at each of them takes longer than writing one.
        self._kept: deque[tuple[Path, int]] = deque()
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            with suppress(FileNotFoundError):  # deleted by another shard meanwhile
                self._kept.append((path, path.stat().st_size))

    def add(self, batch: Batch, start: int, stop: int, *, sent_at_ms: int) -> int:
        """Notes the batch's records `start` to before `stop`, about to be sent. Returns the first one's number."""
        first, self._next = self._next, self._next + stop - start
        self._open_page(first).add(batch, start, stop, sent_at_ms)
        return first

    def settle(
        self,
        sequences: NDArray[np.int64],
        outcome: Outcome,
        partitions: NDArray[np.int32] | None = None,
        offsets: NDArray[np.int64] | None = None,
    ) -> None:
        """Notes how the sends of the records `sequences` ended, and where ok, where they lie."""
        code = _OUTCOMES.index(outcome)
        for page in self._pages:
            here = (sequences >= page.first) & (sequences < page.first + page.rows)
            rows = sequences[here] - page.first
            if not len(rows):
                continue
            page.outcome[rows] = code
            if partitions is not None and offsets is not None:
                page.partition[rows], page.offset[rows] = partitions[here], offsets[here]
            page.under_way -= len(rows)

    def rotate(self) -> None:
        """Lets the pages be written that are full or old, as far as all of their records have an outcome."""
        while self._pages and self._is_due(self._pages[0]) and not self._pages[0].under_way:
            self._hand_over()
        while self._writing and self._writing[0].done():
            self._writing.popleft().result()

    def wait(self) -> None:
        """Returns when every page that was handed to the writer is on the disk."""
        while self._writing:
            self._writing.popleft().result()

    def close(self) -> None:
        """Writes everything; what has no outcome by now is `unknown`."""
        with self._writer:
            while self._pages:
                self._hand_over()
            self.wait()

    def _hand_over(self) -> None:
        # Where the disk is slower than the traffic, the traffic waits: memory stays bounded.
        while len(self._writing) >= _MOST_WRITING:
            self._writing.popleft().result()
        self._writing.append(self._writer.submit(self._write, self._pages.popleft()))

    def _open_page(self, first: int) -> _Page:
        """The page that takes the record numbered `first`."""
        if not self._pages or self._is_due(self._pages[-1]):
            self._pages.append(_Page(first, self._clock()))
        return self._pages[-1]

    def _is_due(self, page: _Page) -> bool:
        return page.rows >= self._config.rotate_rows or self._clock() - page.opened_at >= self._config.rotate_seconds

    def _write(self, page: _Page) -> None:
        self._files += 1
        path = self._folder / f"{self._run}-{self._files:06d}{_SUFFIX}"
        partial = path.with_suffix(".partial")
        try:
            pq.write_table(
                page.table(self._run, self._metadata), partial, compression="zstd", use_dictionary=_REPEATING
            )
            partial.replace(path)
        except OSError as error:
            raise MachineError(
                f"the ledger file {path} cannot be written: {error}. Make room, or use --ledger."
            ) from error
        self._kept.append((path, path.stat().st_size))
        self._delete_old()

    def _delete_old(self) -> None:
        """Keeps the newest files within the configured bounds, the very newest in any case."""
        most_bytes, most_files = self._config.keep_mb * 1024 * 1024, self._config.keep_files
        total = sum(size for _, size in self._kept)
        while len(self._kept) > 1 and (len(self._kept) > most_files or total > most_bytes):
            path, size = self._kept.popleft()
            path.unlink(missing_ok=True)
            total -= size
