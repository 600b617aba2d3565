"""The ledger of replays: one SQLite file that knows what was about to be sent, by whom, and what came of it.

An attempt is written as *intended* before its record is sent, with the ends of the log at that moment. So whatever
ends the sender in between, the next one knows that a record may be there, and from which offsets on to look for it.
SQLite itself holds that no position has two attempts that are intended or delivered.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from contracts.errors import MachineError
from contracts.positions import Position

_SCHEMA = """
CREATE TABLE IF NOT EXISTS attempts (
  number INTEGER PRIMARY KEY,
  position TEXT NOT NULL,
  transaction_id TEXT NOT NULL,
  payload_sha256 TEXT NOT NULL,
  user TEXT NOT NULL,
  intended_at TEXT NOT NULL,
  log_ends TEXT NOT NULL,
  outcome TEXT NOT NULL,
  settled_at TEXT,
  replayed_as TEXT
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_live_attempt ON attempts (position) WHERE outcome <> 'absent';
CREATE INDEX IF NOT EXISTS by_position ON attempts (position);
CREATE INDEX IF NOT EXISTS by_transaction ON attempts (transaction_id);
"""
_COLUMNS = "position, transaction_id, payload_sha256, user, intended_at, log_ends, outcome, settled_at, replayed_as"
_BUSY_SECONDS = 30


class Outcome(StrEnum):
    """What came of an attempt: not known yet, in the log, or surely not in the log."""

    INTENDED = "intended"
    DELIVERED = "delivered"
    ABSENT = "absent"


@dataclass(frozen=True)
class Attempt:
    """One attempt to replay the dead letter at `position`.

    `log_ends` are the ends of the raw topic's partitions before the send; `replayed_as` is where the record stands,
    for a delivered one. Times are UTC.
    """

    position: Position
    transaction_id: str
    payload_sha256: str
    user: str
    intended_at: datetime
    log_ends: Mapping[int, int]
    outcome: Outcome
    settled_at: datetime | None = None
    replayed_as: Position | None = None


class Ledger:
    """The attempts. What is written is on the disk when a method returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, position: Position) -> list[Attempt]:
        """Every attempt for `position`, the oldest first."""
        return self._read("WHERE position = ? ORDER BY number", [str(position)])

    def live(self, positions: Collection[Position]) -> dict[Position, Attempt]:
        """The attempts for `positions` that delivered a record or may have."""
        places = json.dumps([str(position) for position in positions])
        found = self._read("WHERE outcome <> 'absent' AND position IN (SELECT value FROM json_each(?))", [places])
        return {attempt.position: attempt for attempt in found}

    def delivered(self) -> tuple[Position, ...]:
        """Every position of which the record is known to be in the log."""
        rows = self._connection.execute("SELECT position FROM attempts WHERE outcome = 'delivered'")
        return tuple(Position.parse(position) for (position,) in rows)

    def unsettled(self) -> list[Attempt]:
        """The attempts of which it is not known whether they delivered a record."""
        return self._read("WHERE outcome = 'intended' ORDER BY number", [])

    def transactions(self, ids: Collection[str]) -> dict[str, Attempt]:
        """The attempts that delivered, or may have delivered, a transaction with one of these ids, by id."""
        found = self._read(
            "WHERE outcome <> 'absent' AND transaction_id IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))]
        )
        return {attempt.transaction_id: attempt for attempt in found}

    def intend(self, attempts: Sequence[Attempt]) -> None:
        """Notes what is about to be sent. Raises sqlite3.IntegrityError where a position has a live attempt."""
        with self._transaction():
            self._connection.executemany(
                f"INSERT INTO attempts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                [
                    (
                        str(attempt.position), attempt.transaction_id, attempt.payload_sha256, attempt.user,
                        attempt.intended_at.isoformat(), json.dumps(dict(attempt.log_ends)), Outcome.INTENDED.value,
                    )
                    for attempt in attempts
                ],
            )  # fmt: skip

    def settle(self, ends: Mapping[Position, Position | None], *, now: datetime) -> None:
        """Notes of intended attempts, by position, where their records stand; None: surely nowhere."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE attempts SET outcome = ?, replayed_as = ?, settled_at = ?"
                " WHERE position = ? AND outcome = 'intended'",
                [
                    (
                        Outcome.ABSENT.value if place is None else Outcome.DELIVERED.value,
                        None if place is None else str(place), now.isoformat(), str(position),
                    )
                    for position, place in ends.items()
                ],
            )  # fmt: skip

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write all that the block writes, or nothing.

        Said to SQLite itself: Python begins a transaction only if it takes a statement for one that writes, and with
        Turkish letters INSERT is none to it (3.11 compares without regard to case, in the user's locale).
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _read(self, where: str, parameters: list[str]) -> list[Attempt]:
        return [
            _attempt(row) for row in self._connection.execute(f"SELECT {_COLUMNS} FROM attempts {where}", parameters)
        ]


@contextmanager
def open_ledger(path: Path, *, create: bool) -> Iterator[Ledger]:
    """The ledger at `path`; without `create`, an empty one where there is none. Raises MachineError."""
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        place = path if create or path.exists() else ":memory:"
        connection = sqlite3.connect(place, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            # An intent must outlive the machine: SQLite waits for the disk at every commit.
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            yield Ledger(connection)
        finally:
            connection.close()
    except (OSError, sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise MachineError(
            f"the ledger of replays {path} cannot be used: {error}. Nothing was sent that it does not know; "
            "make room or restore the file, then replay again"
        ) from error


def _attempt(row: Sequence[str | None]) -> Attempt:
    position, transaction_id, sha256, user, intended_at, log_ends, outcome, settled_at, replayed_as = row
    return Attempt(
        position=Position.parse(str(position)),
        transaction_id=str(transaction_id),
        payload_sha256=str(sha256),
        user=str(user),
        intended_at=datetime.fromisoformat(str(intended_at)),
        log_ends={int(partition): end for partition, end in json.loads(str(log_ends)).items()},
        outcome=Outcome(str(outcome)),
        settled_at=None if settled_at is None else datetime.fromisoformat(settled_at),
        replayed_as=None if replayed_as is None else Position.parse(replayed_as),
    )
