"""Dagster beside the stream: its web server knows every commit, and the command line finds the pipeline."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contracts import names
from contracts.paths import PROJECT
from lake.catalog import open_catalog
from tests.integration import accounting
from tests.integration.conftest import CommandLine, ask_dagster

_SECONDS = 60
_TOLD = """
{
  assetOrError(assetKey: {path: ["lake", "transactions"]}) {
    ... on Asset { assetMaterializations(limit: 1000) {
      metadataEntries { label ... on TextMetadataEntry { text } ... on IntMetadataEntry { intRepr } }
    } }
  }
}
"""
_HEALTH = """
{
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
}
"""


@pytest.fixture(scope="module")
def rows(pipeline: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Send a few records, and wait until they are stored; once, since a seed gives the same transactions again."""
    ledger = tmp_path_factory.mktemp("rows")
    assert accounting.send(pipeline, seed=5, limit=200, rate=1_000, ledger=ledger).wait(timeout=60) == 0
    accounting.assert_one_fate_each(pipeline.addresses(), accounting.cut(pipeline.addresses()))


def _commits(pipeline: CommandLine) -> list[tuple[str, int]]:
    """List the id and the added rows of every commit to `transactions`, oldest first."""
    with open_catalog(pipeline.addresses()) as catalog:
        table = catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
        snapshots = sorted(table.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0)
    summaries = [(str(each.snapshot_id), each.summary) for each in snapshots]
    return [(number, int((summary and summary["added-records"]) or 0)) for number, summary in summaries]


def _told(pipeline: CommandLine) -> list[tuple[str, int]]:
    """List the same as Dagster's web server has it."""
    found = ask_dagster(pipeline, _TOLD)["assetOrError"].get("assetMaterializations") or []
    entries = [{entry["label"]: entry for entry in event["metadataEntries"]} for event in reversed(found)]
    return [(entry["snapshot_id"]["text"], int(entry["rows_added"]["intRepr"])) for entry in entries]


@pytest.mark.usefixtures("rows")
def test_control_plane_shows_every_commit_once_in_its_order(pipeline: CommandLine) -> None:
    commits = _commits(pipeline)
    assert sum(added for _, added in commits) > 0
    with suppress(AssertionError):  # the comparison below says which commit is missing
        accounting.eventually(
            lambda: len(_told(pipeline)) >= len(commits), "not every commit is told", seconds=_SECONDS
        )
    assert _told(pipeline)[: len(commits)] == commits


def test_control_plane_loads_its_code_and_every_daemon_it_needs_beats(pipeline: CommandLine) -> None:
    answer = ask_dagster(pipeline, _HEALTH)
    assert answer["workspaceOrError"]["locationEntries"] == [
        {"name": names.CODE_LOCATION, "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    ]
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    assert [daemon["daemonType"] for daemon in daemons if daemon["required"] and not daemon["healthy"]] == []


@pytest.mark.usefixtures("rows")
def test_control_plane_materialize_from_the_command_line_finds_the_pipeline_by_its_state_folder(
    pipeline: CommandLine,
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in pipeline.addresses().to_environment()
    }
    command = "asset materialize --select key:reports/stream_summary -m pipeline_assets.definitions"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), *command.split()],
        cwd=PROJECT,
        env={**environment, "PIPELINE_STATE": str(pipeline.state)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "RUN_SUCCESS" in done.stderr


def test_read_only_web_page_refuses_to_change_anything(pipeline: CommandLine) -> None:
    wipe: dict[str, Any] = ask_dagster(
        pipeline,
        'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["lake", "transactions"]}}]) { __typename } }',
    )
    assert wipe == {"wipeAssets": {"__typename": "UnauthorizedError"}}
