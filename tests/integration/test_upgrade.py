"""A state folder that an earlier version wrote goes on under this one: nothing of it is lost, doubled or forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.addresses import Addresses
from contracts.paths import StatePaths
from streaming.deployments import Deployments
from tests.integration import accounting
from tests.integration.conftest import CommandLine, command_line, up_without_generator
from tests.kept_state import kept_state

pytestmark = [pytest.mark.long, pytest.mark.in_order]


def _tables(addresses: Addresses) -> dict[str, pa.Table]:
    """Read every fate and every alert."""
    return {
        "fates": accounting.ask(addresses, f"SELECT * FROM ({accounting.FATES}) ORDER BY ALL"),
        "alerts": accounting.ask(addresses, "SELECT alert_id, rule_id, rule_version FROM alerts ORDER BY ALL"),
    }


@pytest.fixture(scope="module")
def kept() -> Iterator[Path]:
    with kept_state() as state:
        yield state


@pytest.fixture(scope="module")
def before(kept: Path) -> dict[str, pa.Table]:
    """Read the tables as the earlier version left them."""
    return _tables(Addresses.read(kept))


@pytest.fixture(scope="module")
def pipeline(kept: Path, before: dict[str, pa.Table]) -> Iterator[CommandLine]:
    assert before  # read while nothing runs
    command = command_line(kept)
    with up_without_generator(command, "--keep-rules"):
        yield command


def test_kept_state_holds_what_a_folder_in_use_holds(kept: Path, before: dict[str, pa.Table]) -> None:
    reasons = before["fates"]["reason_code"]
    assert before["fates"].num_rows - reasons.null_count > 10, "dead letters"
    assert reasons.null_count > 1_000, "transactions"
    assert before["alerts"].num_rows > 20
    assert len(set(before["alerts"]["rule_version"].to_pylist())) == 2
    assert [each.state for each in Deployments(StatePaths(kept).rules).all()] == ["ended", "in force"]


def test_up_of_an_earlier_versions_folder_keeps_every_row_and_goes_on(
    pipeline: CommandLine, before: dict[str, pa.Table], tmp_path: Path
) -> None:
    sender = accounting.send(pipeline, seed=9, limit=500, rate=500, ledger=tmp_path)
    assert sender.wait(timeout=60) == 0
    addresses = pipeline.addresses()
    accounting.assert_one_fate_each(addresses, accounting.cut(addresses))
    after = _tables(addresses)
    assert after["fates"].num_rows == before["fates"].num_rows + 500
    for name, rows in before.items():
        old, new = (set(map(tuple, (row.values() for row in table.to_pylist()))) for table in (rows, after[name]))
        assert old <= new, f"{name}: rows of the earlier version are gone"
        assert len(new) == after[name].num_rows, f"{name}: a row is there twice"


def test_up_of_an_earlier_versions_folder_remembers_sessions_deployments_and_replays(pipeline: CommandLine) -> None:
    sessions = json.loads(pipeline("sessions", "--json").stdout)
    assert [session["state"] for session in sessions] == ["running", "stopped", "stopped"]
    history = json.loads(pipeline("rules", "history", "--json").stdout)
    # The plan of an earlier version is another one, under the same rules.
    assert [deployment["state"] for deployment in history] == ["in force", "ended", "ended"]
    assert history[0]["rules"] == history[1]["rules"]
    letters = json.loads(pipeline("dead-letters", "list", "--limit", "1000", "--json").stdout)["dead_letters"]
    assert len([letter for letter in letters if letter["replayed_as"]]) == 1
