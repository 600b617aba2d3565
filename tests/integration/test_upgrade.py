"""A state folder that an earlier version wrote goes on under this one: nothing of it is lost, doubled or forgotten."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from contracts.addresses import Addresses
from contracts.paths import StatePaths
from lake.catalog import open_catalog
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


def _refused(pipeline: CommandLine) -> str:
    """What `up` says, which is refused within a minute; the pipeline is down again after it."""
    began = time.monotonic()
    refused = pipeline("up", "--detach", "--no-generator", "--keep-rules", check=False)
    took = time.monotonic() - began
    shown = pipeline("status", check=False)
    pipeline("down")
    assert refused.returncode == 1, refused.stdout
    assert shown.returncode == 10
    assert took < 90, "a minute, on two quiet cores"
    return " ".join(refused.stderr.split())


def test_up_over_a_log_that_has_lost_its_end_is_refused_and_changes_no_row(
    pipeline: CommandLine, before: dict[str, pa.Table]
) -> None:
    """As after a power cut: Kafka does not wait for the disk."""
    pipeline("down")
    logs = pipeline.state / "kafka" / "logs"
    (logs / ".kafka_cleanshutdown").unlink()
    (segment,) = (logs / "transactions.raw-0").glob("*.log")
    os.truncate(segment, segment.stat().st_size // 2)
    rows = _tables(pipeline.addresses())
    said = _refused(pipeline)
    assert "the job lakehouse is not started: partition 0 of transactions.raw ends at offset" in said
    assert "pipeline reset --keep-tables" in said
    assert _tables(pipeline.addresses()) == rows


def test_up_without_the_log_is_refused_and_changes_no_row(pipeline: CommandLine) -> None:
    shutil.rmtree(pipeline.state / "kafka" / "logs")
    rows = _tables(pipeline.addresses())
    said = _refused(pipeline)
    assert "transactions.raw is not the one that the tables were filled from" in said
    assert _tables(pipeline.addresses()) == rows


def test_reset_keep_tables_begins_with_empty_tables_and_leaves_the_old_ones_whole(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    rows = _tables(pipeline.addresses())
    told = pipeline("reset", "--keep-tables", "--yes").stdout
    (namespace,) = re.findall(r"finance_until_\w+", told)
    pipeline("up", "--detach", "--no-generator")
    assert accounting.send(pipeline, seed=9, limit=300, rate=300, ledger=tmp_path).wait(timeout=60) == 0
    addresses = pipeline.addresses()
    accounting.assert_one_fate_each(addresses, accounting.cut(addresses))
    assert _tables(addresses)["fates"].num_rows == 300
    with open_catalog(addresses) as catalog:
        kept = {name: catalog.load_table(f"{namespace}.{name}").scan().count() for name in ("transactions", "alerts")}
        folders = {catalog.load_table(f"{space}.transactions").location() for space in (namespace, "finance")}
    assert len(folders) == 2, "the removal of orphan files would take the old files"
    assert kept == {
        "transactions": rows["fates"]["reason_code"].null_count,
        "alerts": rows["alerts"].num_rows,
    }
