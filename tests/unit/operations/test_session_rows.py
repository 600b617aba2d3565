"""A session's row is closed by a process beside `pipeline down`, and `pipeline sessions` lists the rows."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from typer.testing import CliRunner

from contracts import names, tables
from contracts.sessions import new_session
from lake.sessions import begin, read, update
from operations.cli import app
from operations.embedded.closing import Closing, restarts_of
from tests.lake_tables import NOW, Lake, alert, transaction

SESSION = new_session(NOW - timedelta(minutes=10))


def test_closing_counts_and_stops_the_session(lake: Lake) -> None:
    begin(lake.catalog, SESSION, {"python": "3.11.7"}, now=NOW)
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(1)])
    process = Closing(lake.addresses, SESSION)
    process.count(3)
    assert process.outcome(seconds=60) == ""
    (row,) = read(lake.catalog)
    assert (row.session_id, row.state, row.records, row.restarts) == (SESSION, "stopped", 2, 3)
    assert row.ended_at is not None


def test_closing_while_another_program_holds_the_catalog_gives_up_in_time_and_says_so(lake: Lake) -> None:
    begin(lake.catalog, SESSION, {}, now=NOW)
    with closing(sqlite3.connect(lake.state / "lake" / "catalog.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = Closing(lake.addresses, SESSION)
        process.count(None)
        assert process.outcome(seconds=3) == "it took more than 3 s"
    (row,) = read(lake.catalog)
    assert row.state == "running"


def test_closing_that_fails_tells_why(lake: Lake) -> None:
    lake.catalog.drop_table(tables.sessions().identifier)
    process = Closing(lake.addresses, SESSION)
    process.count(None)
    assert "finance.sessions" in process.outcome(seconds=60)


def test_restarts_of_a_flink_that_does_not_answer_are_unknown() -> None:
    with httpx.Client(base_url="http://127.0.0.1:1") as flink:
        assert restarts_of(flink) is None


def test_sessions_lists_the_newest_first(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    lake.append(names.TRANSACTIONS, [transaction(0)])
    lake.append(names.ALERTS, [alert(0)])
    update(lake.catalog, lake.addresses.iceberg_warehouse, SESSION, now=datetime.now(UTC), ended=True, restarts=2)
    newer = new_session(datetime.now(UTC))
    begin(lake.catalog, newer, {}, now=datetime.now(UTC))
    told = json.loads(CliRunner().invoke(app, ["sessions", "--json"]).output)
    assert [(row["session_id"], row["state"]) for row in told] == [(newer, "running"), (SESSION, "stopped")]
    assert (told[1]["alerts_by_rule"], told[1]["restarts"]) == ({"high-value": 1}, 2)
    shown = CliRunner().invoke(app, ["sessions", "--limit", "1"], env={"COLUMNS": "250"}).output
    assert newer in shown
    assert SESSION not in shown


def test_sessions_of_tables_that_are_older_than_them_says_what_to_do(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    lake.catalog.drop_table(tables.sessions().identifier)
    done = CliRunner().invoke(app, ["sessions"])
    assert "pipeline up" in str(done.exception)
