"""The three Dagster processes as `pipeline up` starts them, beside real tables: what a browser would see of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts import names
from contracts.paths import PROJECT
from tests.integration.dagster_processes import control_plane
from tests.lake_tables import Lake, lake_in, transaction

# In a fresh clone each process first compiles what it imports.
_DEADLINE_SECONDS = 180
_QUERY = """
{
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } }
  assetOrError(assetKey: {path: ["lake", "transactions"]}) {
    ... on Asset { assetMaterializations(limit: 100) {
      metadataEntries { label ... on TextMetadataEntry { text } ... on IntMetadataEntry { intRepr } }
    } }
  }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
}
"""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with lake_in(tmp_path) as opened:
        for number in range(3):
            opened.append(names.TRANSACTIONS, [transaction(2 * number), transaction(2 * number + 1)])
        yield opened


@pytest.fixture
def webserver(lake: Lake) -> Iterator[str]:
    with control_plane(lake) as address:
        yield address


def test_control_plane_started_beside_tables_shows_every_commit_and_new_ones(lake: Lake, webserver: str) -> None:
    def told() -> list[str]:
        """Snapshot ids of the materializations that the web page shows, oldest first."""
        found = _ask(webserver)["assetOrError"].get("assetMaterializations") or []
        entries = [{entry["label"]: entry for entry in event["metadataEntries"]} for event in reversed(found)]
        assert all(entry["rows_added"]["intRepr"] == "2" for entry in entries)
        return [entry["snapshot_id"]["text"] for entry in entries]

    def committed() -> list[str]:
        return [str(snapshot.snapshot_id) for snapshot in lake.table(names.TRANSACTIONS).snapshots()]

    _eventually(told, committed)
    lake.append(names.TRANSACTIONS, [transaction(100), transaction(101)])
    _eventually(told, committed)

    answer = _ask(webserver)
    assert answer["workspaceOrError"]["locationEntries"] == [
        {"name": names.CODE_LOCATION, "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    ]
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert [daemon["daemonType"] for daemon in daemons if daemon["required"] and daemon["healthy"] is False] == []


def test_control_plane_materialize_from_the_command_line_finds_the_pipeline_by_its_state_folder(lake: Lake) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in lake.addresses.to_environment()}
    command = "asset materialize --select key:reports/stream_summary -m pipeline_assets.definitions"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), *command.split()],
        cwd=PROJECT,
        env={**environment, "PIPELINE_STATE": str(lake.state)},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "RUN_SUCCESS" in done.stderr


def _eventually(told: Callable[[], list[str]], wanted: Callable[[], list[str]]) -> None:
    waiting = Retrying(
        stop=stop_after_delay(_DEADLINE_SECONDS),
        wait=wait_fixed(0.5),
        retry=retry_if_exception_type((httpx.HTTPError, AssertionError)),
        reraise=True,
    )
    for attempt in waiting:
        with attempt:
            assert told() == wanted()


def _ask(webserver: str) -> dict[str, Any]:
    response = httpx.post(f"{webserver}/graphql", json={"query": _QUERY}, timeout=10)
    response.raise_for_status()
    data: dict[str, Any] = response.json()["data"]
    return data
