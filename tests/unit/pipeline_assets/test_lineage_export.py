"""The lineage export: sessions, commits and Dagster runs as OpenLineage events, each told once, to a file or server."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import dagster as dg
import pytest

from contracts import names
from contracts.paths import StatePaths
from contracts.sessions import new_session
from lake.sessions import update
from pipeline_assets.checks import CHECKS
from pipeline_assets.graph import table_key
from pipeline_assets.lineage_export import JOB, openlineage
from pipeline_assets.reports import stream_summary
from pipeline_assets.resources import LakeResource
from tests.lake_tables import NOW, Lake, transaction

SESSION = new_session(NOW - timedelta(minutes=10))
_FLINK = {names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: "17"}
Event = dict[str, Any]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def export(lake: Lake, instance: dg.DagsterInstance | None = None) -> dict[str, Any]:
    """What a run of the asset tells."""
    result = dg.materialize([openlineage], resources={"lake": LakeResource(state=str(lake.state))}, instance=instance)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def told(lake: Lake) -> list[Event]:
    """Every event in the file."""
    path = StatePaths(lake.state).lineage_events
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def brief(events: list[Event]) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def output(event: Event, table: str) -> Event:
    (found,) = [one for one in event["outputs"] if one["name"].endswith(f"/finance/{table}")]
    return dict(found)


def count(lake: Lake, **how: Any) -> None:
    update(lake.catalog, lake.addresses.iceberg_warehouse, SESSION, now=datetime.now(UTC), **how)


def test_openlineage_session_is_the_parent_of_its_flink_jobs(lake: Lake) -> None:
    count(lake)
    assert export(lake)["events"] == 3
    assert brief(told(lake)) == [("pipeline", "START"), ("flink.alerting", "START"), ("flink.lakehouse", "START")]
    pipeline, alerting, lakehouse = told(lake)
    for job in (alerting, lakehouse):
        assert job["run"]["facets"]["parent"]["run"]["runId"] == pipeline["run"]["runId"]
    assert [one["name"] for one in alerting["inputs"]] == ["transactions.raw"]
    assert [one["name"] for one in alerting["outputs"]] == ["alerts"]
    assert {one["namespace"] for one in alerting["inputs"]} == {"kafka://127.0.0.1:1"}


def test_openlineage_commit_is_told_once_with_version_rows_and_flink_job(lake: Lake) -> None:
    snapshots = [lake.append(names.TRANSACTIONS, [transaction(number)], **_FLINK) for number in range(3)]
    count(lake)
    export(lake)
    (event,) = [event for event in told(lake) if event["eventType"] == "RUNNING"]
    table = output(event, names.TRANSACTIONS)
    assert table["facets"]["version"]["datasetVersion"] == str(snapshots[-1])
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert table["facets"]["symlinks"]["identifiers"][0]["name"] == "finance.transactions"
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == "f00d"
    assert export(lake)["events"] == 0
    newer = lake.append(names.TRANSACTIONS, [transaction(7)], **_FLINK)
    count(lake)
    assert export(lake)["events"] == 1
    assert output(told(lake)[-1], names.TRANSACTIONS)["facets"]["version"]["datasetVersion"] == str(newer)


def test_openlineage_columns_lead_to_the_fields_they_are_made_of(lake: Lake) -> None:
    count(lake)
    export(lake)
    columns = output(told(lake)[-1], names.TRANSACTIONS)["facets"]["columnLineage"]["fields"]
    (amount,) = columns["amount"]["inputFields"]
    assert (amount["name"], amount["field"]) == ("transactions.raw", "amount")
    assert amount["transformations"][0]["subtype"] == "TRANSFORMATION"
    assert columns["account_id"]["inputFields"][0]["transformations"][0]["subtype"] == "IDENTITY"
    assert "processed_at" not in columns, "a clock is no column"


@pytest.mark.parametrize(("ended", "state"), [(True, "COMPLETE"), (False, "ABORT")])
def test_openlineage_end_of_a_session_ends_its_runs(lake: Lake, ended: bool, state: str) -> None:
    count(lake, ended=ended)
    if not ended:
        newer = new_session(datetime.now(UTC))
        update(lake.catalog, lake.addresses.iceberg_warehouse, newer, now=datetime.now(UTC))
    export(lake)
    assert [job for job, event in brief(told(lake)) if event == state] == [
        "flink.alerting", "flink.lakehouse", "pipeline",
    ]  # fmt: skip
    assert export(lake)["events"] == 0


def test_openlineage_run_of_checks_tells_what_they_found(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0, channel="fax")])
    (checks,) = [checks for checks in CHECKS if checks.node_def.name == "transactions_quality"]
    run = dg.materialize(
        [checks, dg.AssetSpec(table_key(names.TRANSACTIONS))], selection=dg.AssetSelection.checks(checks),
        resources={"lake": LakeResource(state=str(lake.state))}, instance=instance, raise_on_error=False,
    )  # fmt: skip
    export(lake, instance)
    start, end = (event for event in told(lake) if event["run"]["runId"] == run.run_id)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    assert start["eventTime"] <= end["eventTime"]
    (table,) = end["inputs"]
    assert table["name"].endswith("/finance/transactions")
    found = {one["assertion"]: one for one in table["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert (found["validity"]["success"], found["validity"]["severity"]) == (False, "error")
    assert found["uniqueness"]["success"]


def test_openlineage_run_that_made_an_asset_is_told_once_with_what_it_read(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    run = dg.materialize([stream_summary], resources={"lake": LakeResource(state=str(lake.state))}, instance=instance)
    for _ in range(2):
        export(lake, instance)
    _, end = (event for event in told(lake) if event["run"]["runId"] == run.run_id)
    assert end["eventType"] == "COMPLETE"
    assert [one["name"] for one in end["outputs"]] == ["reports/stream_summary"]
    assert {one["name"].rpartition("/")[2] for one in end["inputs"]} == {"alerts", "dead_letters", "transactions"}


def test_openlineage_own_runs_are_not_told_of(lake: Lake, instance: dg.DagsterInstance) -> None:
    job = dg.Definitions(
        assets=[openlineage],
        jobs=[dg.define_asset_job(JOB, selection=dg.AssetSelection.assets(openlineage))],
        resources={"lake": LakeResource(state=str(lake.state))},
    ).resolve_job_def(JOB)
    for _ in range(2):
        assert job.execute_in_process(instance=instance).success
    assert told(lake) == []


class _Server(BaseHTTPRequestHandler):
    """Takes events as a lineage server does."""

    events: ClassVar[list[Event]] = []
    answer = 201

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.answer == 201:
            self.events.append({"path": self.path, **json.loads(body)})
        self.send_response(self.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Server]]:
    handler = type("Handler", (_Server,), {"events": [], "answer": 201})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()
    # The client writes further variables of its own, made of this one.
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE_")]:
        del os.environ[name]


def test_openlineage_url_sends_the_events_there(lake: Lake, server: type[_Server]) -> None:
    count(lake)
    assert export(lake)["sent_to"].startswith("http://127.0.0.1:")
    assert brief(server.events)[0] == ("pipeline", "START")
    assert server.events[0]["path"] == "/api/v1/lineage"
    assert told(lake) == []


def test_openlineage_server_that_refuses_fails_the_run_and_is_told_again(lake: Lake, server: type[_Server]) -> None:
    count(lake)
    server.answer = 400
    with pytest.raises(Exception, match="400"):
        export(lake)
    server.answer = 201
    assert export(lake)["events"] == 3
    assert len(server.events) == 3
