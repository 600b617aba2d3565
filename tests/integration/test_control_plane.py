"""The three Dagster processes as `pipeline up` starts them, beside real tables: what a browser would see of them."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts import names
from contracts.paths import PROJECT, StatePaths
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
    """The webserver's address, once the three processes are started; their output lies in the state's log folder."""
    paths = StatePaths(lake.state)
    paths.logs.mkdir()
    paths.dagster.mkdir()
    shutil.copy(PROJECT / "config" / "dagster.yaml", paths.dagster)
    code_port, web_port = _free_port(), _free_port()
    environment = {
        **os.environ,
        **lake.addresses.to_environment(),
        "DAGSTER_HOME": str(paths.dagster),
        "DAGSTER_CODE_PORT": str(code_port),
    }
    # Daemon and webserver would each make the databases, at once: `pipeline up` makes them first too.
    subprocess.run([sys.executable, "-m", "operations.embedded.storage"], cwd=PROJECT, env=environment, check=True)
    folder = Path(sys.executable).parent
    commands = {
        names.CODE_SERVER: f"dagster api grpc -m pipeline_assets.definitions -h 127.0.0.1 -p {code_port}",
        names.WEBSERVER: f"dagster-webserver -h 127.0.0.1 -p {web_port} -w workspace.yaml",
        names.DAEMON: "dagster-daemon run -w workspace.yaml",
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            program, *arguments = command.split()
            log = stack.enter_context((paths.logs / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [folder / program, *arguments], cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            stack.callback(_end, process)
        yield f"http://127.0.0.1:{web_port}"


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


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
