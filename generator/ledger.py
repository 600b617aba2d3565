"""The ledger: what was sent, what it was meant to be, and how the send ended, as Parquet files in one folder.

It is the known answer that a run is scored by; nothing in it travels in a record. A file appears complete or not at
all, once every record in it has an outcome; the records of the last minute are lost if the process is killed.
Raises MachineError where the disk refuses.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.errors import MachineError
from generator.config import LedgerConfig
from generator.malformed import Malformation
from generator.publisher import Outcome

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("transaction_id", pa.string()),  # null where the record is malformed so that it has none
        pa.field("account_id", pa.string(), nullable=False),  # the message key, of malformed records too
        pa.field("scenario", pa.string(), nullable=False),  # a scenario's label, or what broke a malformed record
        pa.field("expected", pa.string(), nullable=False),  # valid, malformed
        pa.field("expected_reason", pa.string()),  # reason_code of the dead-letter contract
        pa.field("outcome", pa.string(), nullable=False),  # ok, failed, unknown
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("sent_at", pa.timestamp("ms", tz="UTC"), nullable=False),
    ]
)
_REPEATING = ["account_id", "scenario", "expected", "expected_reason", "outcome"]
_SUFFIX = ".parquet"


@dataclass
class _Page:
    """Rows of one future file, as columns. Outcomes are filled in as they become known."""

    first: int
    opened_at: float
    under_way: int = 0
    transaction_id: list[str | None] = field(default_factory=list)
    account_id: list[str] = field(default_factory=list)
    scenario: list[str] = field(default_factory=list)
    reason: list[str | None] = field(default_factory=list)
    outcome: list[Outcome] = field(default_factory=list)
    partition: list[int | None] = field(default_factory=list)
    offset: list[int | None] = field(default_factory=list)
    sent_at: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.outcome)

    def table(self, metadata: dict[str, str]) -> pa.Table:
        columns = [
            range(self.first, self.first + len(self)),
            self.transaction_id,
            self.account_id,
            self.scenario,
            ["valid" if reason is None else "malformed" for reason in self.reason],
            self.reason,
            self.outcome,
            self.partition,
            self.offset,
            self.sent_at,
        ]
        arrays = [pa.array(column, type=kind.type) for column, kind in zip(columns, SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=SCHEMA.with_metadata(metadata))


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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"the ledger's folder cannot be made: {error}. Choose another: --ledger.") from error
        # Listed once: with 50,000 files a look at each of them takes longer than writing one.
        self._kept = deque((path, path.stat().st_size) for path in sorted(folder.glob(f"*{_SUFFIX}")))

    def add(
        self,
        *,
        transaction_ids: Sequence[str],
        account_ids: Sequence[str],
        labels: Sequence[str],
        malformations: Mapping[int, Malformation],
        sent_at_ms: int,
    ) -> int:
        """Notes records that are about to be sent, malformed ones by position. Returns the first one's number."""
        first, count = self._next, len(labels)
        self._next += count
        page = self._open_page(first)
        start = len(page)
        page.transaction_id += transaction_ids
        page.account_id += account_ids
        page.scenario += labels
        page.reason += [None] * count
        page.outcome += [Outcome.UNKNOWN] * count
        page.partition += [None] * count
        page.offset += [None] * count
        page.sent_at += [sent_at_ms] * count
        page.under_way += count
        for i, malformation in malformations.items():
            page.scenario[start + i], page.reason[start + i] = malformation.name, malformation.reason
            if not malformation.identified:
                page.transaction_id[start + i] = None
        return first

    def settle(self, sequence: int, outcome: Outcome, partition: int | None, offset: int | None) -> None:
        """Notes how the send of record `sequence` ended."""
        for page in self._pages:
            row = sequence - page.first
            if row < len(page.outcome):
                page.outcome[row], page.partition[row], page.offset[row] = outcome, partition, offset
                page.under_way -= 1
                return

    def rotate(self) -> None:
        """Writes the pages that are full or old, as far as all of their records have an outcome."""
        while self._pages and self._is_due(self._pages[0]) and not self._pages[0].under_way:
            self._write(self._pages.popleft())

    def close(self) -> None:
        """Writes everything; what has no outcome by now is `unknown`."""
        while self._pages:
            self._write(self._pages.popleft())

    def _open_page(self, first: int) -> _Page:
        """The page that takes the record numbered `first`."""
        if not self._pages or self._is_due(self._pages[-1]):
            self._pages.append(_Page(first, self._clock()))
        return self._pages[-1]

    def _is_due(self, page: _Page) -> bool:
        return len(page) >= self._config.rotate_rows or self._clock() - page.opened_at >= self._config.rotate_seconds

    def _write(self, page: _Page) -> None:
        self._files += 1
        path = self._folder / f"{self._run}-{self._files:06d}{_SUFFIX}"
        partial = path.with_suffix(".partial")
        try:
            pq.write_table(page.table(self._metadata), partial, compression="zstd", use_dictionary=_REPEATING)
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
