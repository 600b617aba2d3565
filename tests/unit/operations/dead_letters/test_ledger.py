"""The ledger of replays: what it knows after whatever end of its writer."""

import locale
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import MachineError
from contracts.positions import Position
from operations.dead_letters.ledger import Attempt, Ledger, Outcome, open_ledger

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
FIRST, SECOND = Position("transactions.raw", 0, 1), Position("transactions.raw", 1, 1)
PLACE = Position("transactions.raw", 0, 99)


def attempt(position: Position, sha256: str = "ab") -> Attempt:
    return Attempt(position, f"id of {position}", sha256, "somebody", AT, {0: 5, 1: 7}, Outcome.INTENDED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replays" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path, create=True) as ledger:
        yield ledger


def test_intend_is_there_for_the_next_who_opens_it(ledger: Ledger, path: Path) -> None:
    ledger.intend([attempt(FIRST)])
    with open_ledger(path, create=True) as other:
        assert other.unsettled() == [attempt(FIRST)]


def test_intend_position_with_an_attempt_under_way_or_delivered_is_refused_and_notes_nothing(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST)])
    with pytest.raises(sqlite3.IntegrityError):
        ledger.intend([attempt(SECOND), attempt(FIRST)])
    ledger.settle({FIRST: PLACE}, now=AT)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.intend([attempt(FIRST)])
    assert ledger.of(SECOND) == []


@pytest.fixture
def turkish() -> Iterator[None]:
    """Compare letters as Turkish does, for which the capital of i is not I."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "tr_TR.UTF-8")
    except locale.Error:
        pytest.skip(
            "needs the locale tr_TR.UTF-8 (Debian: apt install locales, localedef -i tr_TR -f UTF-8 tr_TR.UTF-8)"
        )
    yield
    locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.usefixtures("turkish")
def test_intend_under_a_turkish_locale_notes_all_or_nothing(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST)])
    with pytest.raises(sqlite3.IntegrityError):
        ledger.intend([attempt(SECOND), attempt(FIRST)])
    assert ledger.of(SECOND) == []


def test_settle_delivered_keeps_the_place_and_is_never_changed_again(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST)])
    later = AT + timedelta(seconds=3)
    ledger.settle({FIRST: PLACE}, now=later)
    ledger.settle({FIRST: None}, now=later + timedelta(hours=1))
    found = ledger.live([FIRST, SECOND])[FIRST]
    assert (found.outcome, found.replayed_as, found.settled_at) == (Outcome.DELIVERED, PLACE, later)
    assert ledger.unsettled() == []


def test_settle_absent_frees_the_position_and_stays_in_its_history(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST, "first payload")])
    ledger.settle({FIRST: None}, now=AT)
    assert ledger.live([FIRST]) == {}
    ledger.intend([attempt(FIRST, "second payload")])
    assert [(each.outcome, each.payload_sha256) for each in ledger.of(FIRST)] == [
        (Outcome.ABSENT, "first payload"),
        (Outcome.INTENDED, "second payload"),
    ]


def test_transactions_are_known_unless_they_are_surely_absent(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST), attempt(SECOND)])
    ledger.settle({SECOND: None}, now=AT)
    assert list(ledger.transactions([f"id of {FIRST}", f"id of {SECOND}", "another"])) == [f"id of {FIRST}"]


def test_live_asks_for_more_positions_than_sql_has_parameters(ledger: Ledger) -> None:
    ledger.intend([attempt(FIRST)])
    asked = [Position("transactions.raw", 0, offset) for offset in range(100_000)]
    assert list(ledger.live(asked)) == [FIRST]


def test_open_ledger_only_to_read_makes_no_file(path: Path) -> None:
    with open_ledger(path, create=False) as empty:
        assert empty.unsettled() == []
    assert not path.parent.exists()


def test_open_ledger_of_what_is_none_says_so(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(MachineError, match=r"ledger\.db cannot be used"), open_ledger(path, create=True):
        pass
