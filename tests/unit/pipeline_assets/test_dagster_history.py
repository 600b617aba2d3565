"""What is left of Dagster's own history after it was pruned: in a real instance, with its files."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import dagster as dg
import pytest

from pipeline_assets.lib.dagster_history import prune

TABLE = dg.AssetKey(["lake", "transactions"])


@dg.asset
def report() -> None:
    """Something that takes a run."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def report_commits(instance: dg.DagsterInstance, count: int) -> None:
    for number in range(count):
        tags = {"dagster/data_version": str(number)}
        instance.report_runless_asset_event(dg.AssetMaterialization(TABLE, metadata={"number": number}, tags=tags))
        check = dg.AssetCheckEvaluation(asset_key=TABLE, check_name="validity", passed=True, metadata={})
        instance.report_runless_asset_event(check)


def numbers(instance: dg.DagsterInstance) -> list[object]:
    """Of the commits that the asset's page still shows, newest first."""
    found = instance.fetch_materializations(TABLE, limit=100).records
    return [record.asset_materialization.metadata["number"].value for record in found if record.asset_materialization]


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=1)


def rows(folder: Path, database: str) -> int:
    with sqlite3.connect(folder / "history" / "runs" / database) as connection:
        return int(connection.execute("SELECT count(*) FROM event_logs WHERE run_id = ''").fetchone()[0])


def test_prune_old_events_of_the_stream_leaves_the_newest(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report_commits(instance, 10)
    pruned = prune(instance, before=soon(), keep=6)
    assert pruned.events == 14
    assert numbers(instance) == [9, 8, 7]
    assert (rows(tmp_path, "index.db"), rows(tmp_path, ".db")) == (6, 6)
    latest = instance.get_latest_materialization_event(TABLE)
    assert latest is not None


def test_prune_young_events_stay(instance: dg.DagsterInstance) -> None:
    report_commits(instance, 3)
    before = datetime.now(UTC) - timedelta(hours=1)
    assert prune(instance, before=before, keep=1).events == 0
    assert numbers(instance) == [2, 1, 0]


def test_prune_removed_checks_are_removed_with_their_events(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report_commits(instance, 10)
    prune(instance, before=soon(), keep=6)
    with sqlite3.connect(tmp_path / "history" / "runs" / "index.db") as connection:
        (kept,) = connection.execute("SELECT count(*) FROM asset_check_executions").fetchone()
        (tags,) = connection.execute("SELECT count(*) FROM asset_event_tags").fetchone()
    assert (kept, tags) == (3, 3)


def test_prune_finished_run_is_gone_with_its_file(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    result = dg.materialize([report], instance=instance)
    file = tmp_path / "history" / "runs" / f"{result.run_id}.db"
    assert file.exists()
    assert prune(instance, before=datetime.now(UTC) - timedelta(hours=1)).runs == 0
    pruned = prune(instance, before=soon())
    assert pruned.runs == 1
    assert pruned.bytes_after < pruned.bytes_before
    assert not file.exists()
    assert instance.get_run_by_id(result.run_id) is None


def test_prune_interrupted_while_it_removes_a_run_finds_it_again(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = dg.materialize([report], instance=instance)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prune(instance, before=soon())
    assert prune(instance, before=soon()).runs == 1
    assert not (tmp_path / "history" / "runs" / f"{result.run_id}.db").exists()
    assert instance.get_run_by_id(result.run_id) is None


def test_prune_dry_run_says_the_same_and_removes_nothing(instance: dg.DagsterInstance) -> None:
    report_commits(instance, 5)
    dg.materialize([report], instance=instance)
    told = prune(instance, before=soon(), keep=2, dry_run=True)
    assert (told.runs, told.events) == (1, 8)
    assert len(numbers(instance)) == 5
    pruned = prune(instance, before=soon(), keep=2)
    assert (pruned.runs, pruned.events) == (told.runs, told.events)
    assert len(numbers(instance)) == 1
