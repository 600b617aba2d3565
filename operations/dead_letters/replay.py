"""Sends repaired records once. Here is decided what is sent; the ledger, the tables and the log are asked.

A dead letter has been replayed when the ledger saw its record delivered, or when a row points back to it. An attempt
that was cut off between the two is settled before anything else: its record is looked for in the tables, then in the
log from where the attempt began. Only what is in neither may be sent again. One replay works at a time (`alone`).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout

from contracts.errors import MachineError
from contracts.positions import Position
from operations.dead_letters.ledger import Attempt, Ledger
from operations.dead_letters.ledger import Outcome as Ended
from operations.dead_letters.raw_log import Outgoing, RawLog
from operations.dead_letters.reading import Tables
from operations.dead_letters.repairs import Repair, Unreadable

# Sent together: one note in the ledger before, one after.
_CHUNK_RECORDS, _CHUNK_BYTES = 500, 16 * 1024 * 1024
_WAIT_SECONDS = 60


class Outcome(StrEnum):
    """What became of one repair."""

    REPLAYED = "replayed"
    WOULD_REPLAY = "would_replay"
    ALREADY_REPLAYED = "already_replayed"
    OTHER_PAYLOAD = "other_payload"
    INVALID = "invalid"
    UNKNOWN_POSITION = "unknown_position"
    DUPLICATE_TRANSACTION = "duplicate_transaction"
    UNSETTLED = "unsettled"
    UNREADABLE = "unreadable"


GOOD = frozenset({Outcome.REPLAYED, Outcome.WOULD_REPLAY, Outcome.ALREADY_REPLAYED})


@dataclass(frozen=True)
class Result:
    """The outcome for one repair. `replayed_as` is where its record stands, `message` says why nothing was sent."""

    outcome: Outcome
    position: Position | None
    replayed_as: Position | None = None
    reason_code: str | None = None
    message: str | None = None
    line: int | None = None


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Holds off other replays of the same pipeline. Raises MachineError where one goes on for over a minute."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=_WAIT_SECONDS):
            yield
    except Timeout:
        raise MachineError(f"another replay is at work and holds {lock}. Wait for its end, then try again") from None


@dataclass(frozen=True)
class Replay:
    """One run of the command. Without `log` nothing is sent: it says what would be."""

    tables: Tables
    ledger: Ledger
    log: RawLog | None
    user: str
    clock: Callable[[], datetime]

    def settle(self) -> None:
        """Finds out of every attempt that was cut off whether its record arrived."""
        cut_off = self.ledger.unsettled()
        if self.log is None or not cut_off:
            return
        arrived = self.tables.replays_of([attempt.position for attempt in cut_off])
        missing = [attempt for attempt in cut_off if attempt.position not in arrived]
        if missing:
            partitions = {partition for attempt in missing for partition in attempt.log_ends}
            since = {
                partition: min(attempt.log_ends.get(partition, 0) for attempt in missing) for partition in partitions
            }
            arrived |= self.log.find([attempt.position for attempt in missing], since)
        self.ledger.settle({each.position: arrived.get(each.position) for each in cut_off}, now=self.clock())

    def run(self, repairs: Iterable[Repair | Unreadable]) -> Iterator[Result]:
        """The result of each repair, in their order within each of the groups they are sent in."""
        for chunk in _chunks(repairs):
            yield from self._chunk(chunk)

    def _chunk(self, chunk: list[Repair | Unreadable]) -> Iterator[Result]:
        repairs = [repair for repair in chunk if isinstance(repair, Repair)]
        positions = [repair.position for repair in repairs]
        existing, arrived = self.tables.existing(positions), self.tables.replays_of(positions)
        live = self.ledger.live(positions)
        ids = [repair.transaction_id for repair in repairs if not repair.breach]
        stored, sent = self.tables.transactions(ids), self.ledger.transactions(ids)
        sendable = []
        for repair in chunk:
            if isinstance(repair, Unreadable):
                yield Result(Outcome.UNREADABLE, None, message=repair.mistake, line=repair.line)
            elif repair.position not in existing:
                yield _unknown(repair)
            elif (attempt := live.get(repair.position)) or repair.position in arrived:
                yield _replayed_before(repair, attempt, arrived.get(repair.position))
            elif repair.breach:
                yield Result(Outcome.INVALID, repair.position, None, *repair.breach, repair.line)
            elif place := stored.get(repair.transaction_id):
                yield _duplicate(repair, f"stands at {place.short}")
            elif other := sent.get(repair.transaction_id):
                yield _duplicate(repair, f"was replayed for {other.position.short}")
            else:
                sendable.append(repair)
        yield from self._send(sendable)

    def _send(self, repairs: list[Repair]) -> Iterator[Result]:
        if self.log is None or not repairs:
            yield from (Result(Outcome.WOULD_REPLAY, repair.position, line=repair.line) for repair in repairs)
            return
        now, ends = self.clock(), self.log.ends()
        self.ledger.intend(
            [
                Attempt(each.position, each.transaction_id, each.sha256, self.user, now, ends, Ended.INTENDED)
                for each in repairs
            ]
        )
        delivered: dict[Position, Position] = {}
        lost: dict[Position, str] = {}

        def report(record: Outgoing, place: Position | None, why: str) -> None:
            if place is None:
                lost[record.position] = why
            else:
                delivered[record.position] = place

        try:
            self.log.send([Outgoing(each.position, each.account_id, each.value or b"") for each in repairs], report)
        finally:  # also on Ctrl-C: what is known by then need not be looked for
            self.ledger.settle(delivered, now=self.clock())
        for repair in repairs:
            if place := delivered.get(repair.position):
                yield Result(Outcome.REPLAYED, repair.position, place, line=repair.line)
            else:
                yield _unsettled(repair, lost.get(repair.position, "no answer from the broker"))


def _chunks(repairs: Iterable[Repair | Unreadable]) -> Iterator[list[Repair | Unreadable]]:
    """Groups to send together. No position and no transaction is in one twice: the second meets the first's result."""
    chunk: list[Repair | Unreadable] = []
    seen: set[Position | str] = set()
    size = 0
    for repair in repairs:
        if isinstance(repair, Repair):
            own: set[Position | str] = {repair.position, *filter(None, [repair.transaction_id])}
            more = len(repair.value or b"")
            if len(chunk) >= _CHUNK_RECORDS or size + more > _CHUNK_BYTES or own & seen:
                yield chunk
                chunk, seen, size = [], set(), 0
            seen |= own
            size += more
        chunk.append(repair)
    if chunk:
        yield chunk


def _unknown(repair: Repair) -> Result:
    message = (
        f"there is no dead letter at {repair.position.short}. A refused record is in the table after a commit, some "
        "seconds later; see: pipeline dead-letters list"
    )
    return Result(Outcome.UNKNOWN_POSITION, repair.position, message=message, line=repair.line)


def _replayed_before(repair: Repair, attempt: Attempt | None, arrived: Position | None) -> Result:
    place = attempt.replayed_as if attempt and attempt.replayed_as else arrived
    if place is None:
        return _unsettled(repair, "an earlier replay of it was cut off")
    if attempt and attempt.payload_sha256 != repair.sha256:
        message = f"it was already replayed as {place.short}, with another payload; nothing was sent"
        return Result(Outcome.OTHER_PAYLOAD, repair.position, place, message=message, line=repair.line)
    return Result(Outcome.ALREADY_REPLAYED, repair.position, place, line=repair.line)


def _duplicate(repair: Repair, where: str) -> Result:
    message = f"the transaction {repair.transaction_id} already {where}; nothing was sent"
    return Result(Outcome.DUPLICATE_TRANSACTION, repair.position, message=message, line=repair.line)


def _unsettled(repair: Repair, why: str) -> Result:
    message = f"it is not known whether it arrived ({why}). Run the command again: it looks before it sends"
    return Result(Outcome.UNSETTLED, repair.position, message=message, line=repair.line)
