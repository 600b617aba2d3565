"""The sessions' rows: begun once, counted while they run, closed at their end, also where they ended without a word."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts import names
from contracts.sessions import new_session
from lake.sessions import Session, begin, read, update
from tests.lake_tables import NOW, Lake, alert, dead_letter, transaction

START = NOW - timedelta(minutes=10)
VERSIONS = {"python": "3.11.7"}


def at(moment: datetime) -> str:
    """A session that began then."""
    return new_session(moment)


def rows(lake: Lake) -> dict[str, Session]:
    return {session.session_id: session for session in read(lake.catalog)}


def counted(lake: Lake, session: str | None, **how: object) -> Session:
    """The newest session's row after an update, which is also what the table has."""
    *_, newest = update(lake.catalog, lake.addresses.iceberg_warehouse, session, now=datetime.now(UTC), **how)  # type: ignore[arg-type]
    assert rows(lake)[newest.session_id] == newest
    return newest


@pytest.fixture
def sent() -> datetime:
    """When the stored records were sent: just now, whenever this module was imported."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=2)


@pytest.fixture
def stored(lake: Lake, sent: datetime) -> Lake:
    """Four transactions, judged 200 ms after they were sent, one dead letter and two alerts."""
    judged = sent + timedelta(milliseconds=200)
    rows = [transaction(number, kafka_timestamp=sent, processed_at=judged) for number in range(4)]
    lake.append(names.TRANSACTIONS, rows)
    lake.append(names.DEAD_LETTERS, [dead_letter(1, failed_at=judged)])
    alerts = [alert(0), alert(1, rule_id="unusual-hour")]
    lake.append(names.ALERTS, [{**row, "kafka_timestamp": judged, "processed_at": judged} for row in alerts])
    return lake


def test_begin_gives_a_session_one_row_however_often_it_is_called(lake: Lake) -> None:
    session = at(START)
    assert begin(lake.catalog, session, VERSIONS, now=NOW)
    assert not begin(lake.catalog, session, VERSIONS, now=NOW)
    (row,) = rows(lake).values()
    assert (row.session_id, row.state, row.started_at, row.ended_at) == (session, "running", START, None)
    assert (row.records, row.versions) == (0, VERSIONS)


def test_update_running_session_counts_what_was_written_since_it_began(stored: Lake) -> None:
    session = at(START)
    begin(stored.catalog, session, VERSIONS, now=NOW)
    row = counted(stored, session, restarts=2)
    assert (row.state, row.ended_at, row.restarts, row.versions) == ("running", None, 2, VERSIONS)
    assert (row.records, row.transactions, row.rejected, row.alerts) == (5, 4, 1, 2)
    assert row.alerts_by_rule == {"high-value": 1, "unusual-hour": 1}


def test_update_latencies_count_from_the_record_s_time_in_kafka(stored: Lake, sent: datetime) -> None:
    row = counted(stored, at(START))
    committed = stored.table(names.TRANSACTIONS).current_snapshot()
    assert committed is not None
    assert (row.alert_latency_p50_ms, row.alert_latency_p99_ms) == (200, 200)
    assert row.storage_latency_p50_ms == committed.timestamp_ms - sent.timestamp() * 1000
    assert row.storage_latency_p99_ms == row.storage_latency_p50_ms


def test_update_before_the_first_record_has_no_latency(lake: Lake) -> None:
    row = counted(lake, at(START))
    assert (row.records, row.alerts, row.alerts_by_rule) == (0, 0, {})
    assert row.alert_latency_p95_ms is row.storage_latency_p95_ms is None


def test_update_rows_of_an_earlier_session_are_not_counted(stored: Lake) -> None:
    assert counted(stored, at(datetime.now(UTC) + timedelta(minutes=1))).records == 0


def test_update_ended_session_is_stopped_and_keeps_what_it_knew(stored: Lake) -> None:
    session = at(START)
    begin(stored.catalog, session, VERSIONS, now=NOW)
    counted(stored, session, restarts=1)
    row = counted(stored, session, ended=True)
    assert (row.state, row.restarts, row.records, row.versions) == ("stopped", 1, 5, VERSIONS)
    assert row.ended_at == row.seen_at


def test_update_session_that_was_never_begun_is_closed_as_well(stored: Lake) -> None:
    assert counted(stored, at(START), ended=True).state == "stopped"


def test_update_session_that_ended_without_a_word_is_lost_as_of_its_last_commit(stored: Lake) -> None:
    lost = at(START)
    begin(stored.catalog, lost, VERSIONS, now=NOW)
    counted(stored, lost)
    running = at(datetime.now(UTC) + timedelta(minutes=1))
    counted(stored, running)
    row = rows(stored)[lost]
    last = stored.table(names.ALERTS).current_snapshot()
    assert last is not None
    assert (row.state, row.records, row.versions) == ("lost", 5, VERSIONS)
    assert row.ended_at == datetime.fromtimestamp(last.timestamp_ms / 1000, UTC)
    assert rows(stored)[running].state == "running"


def test_update_lost_session_that_committed_nothing_ended_when_it_began(lake: Lake) -> None:
    lost = at(START)
    begin(lake.catalog, lost, VERSIONS, now=NOW)
    counted(lake, at(datetime.now(UTC)))
    assert (rows(lake)[lost].state, rows(lake)[lost].ended_at) == ("lost", START)


def test_update_closed_sessions_are_left_as_they_are(stored: Lake) -> None:
    first = at(START)
    counted(stored, first, ended=True)
    before = rows(stored)[first]
    counted(stored, at(datetime.now(UTC)))
    assert rows(stored)[first] == before


def test_update_without_a_session_takes_the_newest_open_one_for_running(stored: Lake) -> None:
    begin(stored.catalog, at(START), VERSIONS, now=NOW)
    row = counted(stored, None)
    assert (row.state, row.records) == ("running", 5)


def test_update_without_any_session_writes_nothing(lake: Lake) -> None:
    assert update(lake.catalog, lake.addresses.iceberg_warehouse, None, now=NOW) == ()
    assert rows(lake) == {}
