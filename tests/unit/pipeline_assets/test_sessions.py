"""The sessions in Dagster: a row from the first look on, counts and plots with every run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from contracts import names
from contracts.sessions import SESSION_VARIABLE, new_session, versions
from lake.sessions import read
from pipeline_assets.resources import FlinkResource, LakeResource
from pipeline_assets.sensors.commit_ledger import commit_ledger
from pipeline_assets.sessions import sessions
from tests.lake_tables import NOW, Lake, alert, dead_letter, transaction


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> str:
    """The session that this process belongs to."""
    session = new_session(NOW - timedelta(minutes=10))
    monkeypatch.setenv(SESSION_VARIABLE, session)
    return session


def counted(lake: Lake) -> dict[str, Any]:
    """What a run of the asset tells."""
    result = dg.materialize(
        [sessions],
        resources={"lake": LakeResource(state=str(lake.state)), "flink": FlinkResource(state=str(lake.state))},
    )
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_commit_ledger_sensor_begins_the_row_of_its_session(lake: Lake, session: str) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    for _ in range(2):
        commit_ledger(dg.build_sensor_context(resources={"lake": LakeResource(state=str(lake.state))}))
    (row,) = read(lake.catalog)
    assert (row.session_id, row.state, row.versions) == (session, "running", versions())


def test_commit_ledger_sensor_outside_of_the_pipeline_records_for_the_running_session(
    lake: Lake, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = {"lake": LakeResource(state=str(lake.state))}
    commit_ledger(dg.build_sensor_context(resources=context))
    monkeypatch.delenv(SESSION_VARIABLE)
    lake.append(names.TRANSACTIONS, [transaction(0)])
    commit_ledger(dg.build_sensor_context(resources=context))
    assert lake.table(names.COMMITS).scan().to_arrow()["session_id"].to_pylist() == [session]


def test_sessions_run_counts_and_gives_numbers_to_plot(lake: Lake, session: str) -> None:
    now = datetime.now(UTC)
    rows = [transaction(number, kafka_timestamp=now, processed_at=now) for number in range(2)]
    lake.append(names.TRANSACTIONS, rows)
    lake.append(names.DEAD_LETTERS, [dead_letter(1, failed_at=now)])
    lake.append(names.ALERTS, [alert(0, kafka_timestamp=now, processed_at=now)])
    told = counted(lake)
    assert (told["session"], told["state"]) == (session, "running")
    assert (told["records"], told["rejected"], told["alerts"], told["alert_latency_p95_ms"]) == (3, 1, 1, 0)
    assert 0 < told["records_per_second"] < 1
    assert "restarts" not in told, "a Flink that does not answer has no number"
    (record,) = told["sessions"].records
    assert record.data["session"] == session


def test_sessions_run_outside_of_a_pipeline_counts_for_the_newest_open_one(
    lake: Lake, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(lake)
    monkeypatch.delenv(SESSION_VARIABLE)
    lake.append(names.TRANSACTIONS, [transaction(0)])
    assert counted(lake)["records"] == 1


def test_sessions_run_without_any_session_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SESSION_VARIABLE, raising=False)
    assert counted(lake)["note"] == "No session runs."


def test_sessions_run_after_a_crash_closes_the_lost_one(
    lake: Lake, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(lake)
    monkeypatch.setenv(SESSION_VARIABLE, new_session(datetime.now(UTC)))
    counted(lake)
    assert {row.session_id: row.state for row in read(lake.catalog)}[session] == "lost"
