"""The four commands, without the command line: each opens what it needs, and returns what there is to show."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from contracts.addresses import Addresses
from contracts.errors import PipelineError
from contracts.paths import StatePaths
from contracts.positions import Position
from operations.audit import operator
from operations.dead_letters.ledger import Attempt, Ledger, open_ledger
from operations.dead_letters.raw_log import KafkaRawLog
from operations.dead_letters.reading import Chosen, DeadLetter, Tables, open_tables
from operations.dead_letters.repairs import Repair, Unreadable
from operations.dead_letters.replay import Replay, Result, alone
from operations.dead_letters.showing import State, exported


def list_letters(
    addresses: Addresses, chosen: Chosen, *, limit: int, only_open: bool
) -> tuple[list[tuple[DeadLetter, State]], dict[str, int]]:
    """The newest of the chosen with their states, and how many of the chosen there are by reason.

    With `only_open`, those that were replayed are not chosen.
    """
    with open_tables(addresses) as tables, _ledger(addresses) as ledger:
        chosen = replace(chosen, beside=ledger.delivered() if only_open else None)
        letters = tables.newest(chosen, limit=limit)
        positions = [letter.position for letter in letters]
        live, arrived = ledger.live(positions), tables.replays_of(positions)
        states = [State.of(live.get(position), arrived.get(position)) for position in positions]
        return list(zip(letters, states, strict=True)), tables.by_reason(chosen)


def show_letter(addresses: Addresses, position: Position) -> tuple[DeadLetter, State, list[Attempt]]:
    """One dead letter with its payload, its state and what was tried. Raises PipelineError where there is none."""
    with open_tables(addresses) as tables, _ledger(addresses) as ledger:
        letter = _required(tables, position)
        state = State.of(ledger.live([position]).get(position), tables.replays_of([position]).get(position))
        return letter, state, ledger.of(position)


def payload_at(addresses: Addresses, position: Position) -> bytes | None:
    """The bytes of the record refused at `position`. Raises PipelineError where there is none."""
    with open_tables(addresses) as tables:
        payload = _required(tables, position).payload
        return payload.value() if payload else None


def export_letters(addresses: Addresses, chosen: Chosen, to: BinaryIO, *, only_open: bool) -> int:
    """Writes the chosen to `to`, one JSON object a line, in the order of the log. Returns how many.

    ASCII alone, all else escaped: no editor, terminal or line splitter can change a payload by looking at it.
    """
    count = 0
    with open_tables(addresses) as tables, _ledger(addresses) as ledger:
        chosen = replace(chosen, beside=ledger.delivered() if only_open else None)
        for letter in tables.with_payloads(chosen):
            to.write(json.dumps(exported(letter)).encode("ascii") + b"\n")
            count += 1
    return count


def replay(addresses: Addresses, repairs: Iterable[Repair | Unreadable], *, dry_run: bool) -> Iterator[Result]:
    """Replays, or with `dry_run` says what would be replayed; yields each repair's result."""
    folder = StatePaths(Path(addresses.pipeline_state)).replays
    if dry_run:
        with open_tables(addresses) as tables, _ledger(addresses) as ledger:
            yield from Replay(tables, ledger, None, operator(), _now).run(repairs)
        return
    log = KafkaRawLog(addresses.kafka)
    log.ends()  # before anything is made or noted: there is a broker
    with (
        alone(folder / "lock"),
        # After the lock: what an earlier replay sent is seen.
        open_tables(addresses) as tables,
        open_ledger(folder / "ledger.db", create=True) as ledger,
    ):
        work = Replay(tables, ledger, log, operator(), _now)
        work.settle()
        yield from work.run(repairs)


def _required(tables: Tables, position: Position) -> DeadLetter:
    if letter := tables.letter(position):
        return letter
    raise PipelineError(
        f"there is no dead letter at {position}. A refused record is in the table after a commit, some seconds later. "
        "See which there are: pipeline dead-letters list"
    )


@contextmanager
def _ledger(addresses: Addresses) -> Iterator[Ledger]:
    with open_ledger(StatePaths(Path(addresses.pipeline_state)).replays / "ledger.db", create=False) as ledger:
        yield ledger


def _now() -> datetime:
    return datetime.now(UTC)
