"""`pipeline trace` over real tables: the commit, the file and the checks of a record, also after maintenance."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from typer.testing import CliRunner

from contracts import names, tables
from contracts.errors import NotRunning, QueryError
from contracts.paths import PROJECT, StatePaths
from contracts.sessions import began, new_session
from lake.compaction import compact
from lake.expiry import expire
from lake.ledger import record
from lake.sessions import begin
from operations.cli import app
from operations.tracing import trace
from pipeline_assets.graph import table_key
from tests.lake_tables import Lake, alert, dead_letter, transaction

_FLINK = {names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: "17"}


def id_of(number: int) -> str:
    return str(transaction(number)["transaction_id"])


@pytest.fixture
def snapshot(lake: Lake) -> int:
    """Three commits to `transactions`; that of the second, which brought the transactions 2 and 3."""
    ids = [
        lake.append(names.TRANSACTIONS, [transaction(2 * number), transaction(2 * number + 1)], **_FLINK)
        for number in range(3)
    ]
    return ids[1]


def forget_everything(lake: Lake) -> None:
    """Compacts and expires as far as it goes."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    for table in tables.stream_tables():
        compact(lake.table(table.name), table)
        expire(lake.table(table.name), older_than=soon, keep=1, read=(), give_up=soon)


def test_trace_transaction_not_in_the_ledger_yet_is_found_in_the_tables_history(lake: Lake, snapshot: int) -> None:
    (row,) = trace(lake.addresses, id_of(2)).rows
    assert (row.table, row.position, row.compacted) == (names.TRANSACTIONS, "transactions.raw/0/1", False)
    assert row.commit is not None
    assert (row.commit.snapshot_id, row.commit.recorded) == (str(snapshot), False)
    assert (row.commit.flink_job_id, row.commit.flink_checkpoint_id) == ("f00d", 17)


def test_trace_commit_that_no_ledger_knows_yet_is_of_the_session_it_falls_into(lake: Lake) -> None:
    now = datetime.now(UTC)
    for minutes in (20, 10):
        begin(lake.catalog, new_session(now - timedelta(minutes=minutes)), {}, now=now)
    later = new_session(now + timedelta(minutes=10))
    begin(lake.catalog, later, {}, now=now)
    lake.append(names.TRANSACTIONS, [transaction(0)])
    (row,) = trace(lake.addresses, id_of(0)).rows
    assert row.commit is not None
    assert began(row.commit.session_id or "") == (now - timedelta(minutes=10)).replace(microsecond=0)


def test_trace_after_compaction_and_expiry_still_names_the_commit_that_brought_it(lake: Lake, snapshot: int) -> None:
    record(lake.catalog, session="20200101T000000Z-abc123")
    forget_everything(lake)
    (row,) = trace(lake.addresses, id_of(3)).rows
    assert row.commit is not None
    assert (row.commit.snapshot_id, row.commit.recorded) == (str(snapshot), True)
    assert row.commit.session_id == "20200101T000000Z-abc123"
    assert row.compacted
    assert row.file in {task.file.file_path for task in lake.table(names.TRANSACTIONS).scan().plan_files()}


def test_trace_commit_forgotten_before_it_was_recorded_says_so(lake: Lake, snapshot: int) -> None:
    forget_everything(lake)
    (row,) = trace(lake.addresses, id_of(2)).rows
    assert row.commit is None


def test_trace_place_in_kafka_finds_the_same_row(lake: Lake, snapshot: int) -> None:
    assert trace(lake.addresses, "0/1").rows == trace(lake.addresses, id_of(2)).rows
    assert trace(lake.addresses, "transactions.raw/0/1").rows == trace(lake.addresses, id_of(2)).rows


def test_trace_transaction_that_was_sent_twice_has_two_rows_and_its_alerts(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(2, transaction_id=id_of(0))])
    lake.append(names.ALERTS, [alert(0), alert(1)])
    found = trace(lake.addresses, id_of(0))
    assert [row.position for row in found.rows] == ["transactions.raw/0/0", "transactions.raw/0/1"]
    assert [row.row["alert_id"] for row in found.alerts] == [alert(0)["alert_id"]]


def test_trace_refused_record_shows_its_reason_and_its_repair(lake: Lake) -> None:
    lake.append(names.DEAD_LETTERS, [dead_letter(1)])
    lake.append(names.TRANSACTIONS, [transaction(0, replayed_from="transactions.raw/0/1000001")])
    dead, repaired = trace(lake.addresses, "0/1000001").rows
    assert (dead.table, dead.row["reason_code"]) == (names.DEAD_LETTERS, "malformed_json")
    assert (repaired.table, repaired.row["transaction_id"]) == (names.TRANSACTIONS, id_of(0))


def test_trace_checks_since_its_commit_are_told(lake: Lake, snapshot: int) -> None:
    home = StatePaths(lake.state).dagster
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for passed in (True, False):
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=table_key(names.TRANSACTIONS), check_name="validity", passed=passed, metadata={}
                )
            )
    (row,) = trace(lake.addresses, id_of(2)).rows
    (check,) = row.checks
    assert (check.check, check.passed) == ("validity", False), "the newest counts"
    assert row.commit is not None
    assert check.at >= row.commit.committed_at


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (id_of(99), "neither a transaction nor a dead letter is"),
        ("0/4711", "neither a transaction nor a dead letter is 0/4711"),
        ("nonsense", "or give a transaction's id"),
        ("0/4711; DROP TABLE transactions", "is no position"),
    ],
)
def test_trace_of_nothing_says_what_was_looked_for(lake: Lake, asked: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        trace(lake.addresses, asked)


def test_trace_before_the_first_tables_says_how_to_start(lake: Lake) -> None:
    for table in tables.all_tables():
        lake.catalog.drop_table(table.identifier)
    with pytest.raises(NotRunning, match="pipeline up"):
        trace(lake.addresses, id_of(0))


def test_trace_command_prints_what_it_found(lake: Lake, snapshot: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    shown = CliRunner().invoke(app, ["trace", id_of(2)], env={"COLUMNS": "250"})
    assert shown.exit_code == 0, shown.output
    assert "job f00d, checkpoint 17" in shown.output
    told = json.loads(CliRunner().invoke(app, ["trace", "0/1", "--json"]).output)
    assert told["rows"][0]["commit"]["snapshot_id"] == str(snapshot)


def test_trace_of_a_recorded_commit_needs_neither_pyiceberg_nor_dagster(lake: Lake, snapshot: int) -> None:
    record(lake.catalog)
    code = (
        "import sys; from pathlib import Path; from contracts.addresses import Addresses;"
        f"from operations.tracing import trace; trace(Addresses.read(Path({str(lake.state)!r})), '0/1');"
        "print({'pyiceberg', 'dagster'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
