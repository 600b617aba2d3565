"""What maintenance does to real tables when Dagster runs it, and what it tells of it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from pyiceberg.table import Table

from contracts import names, tables
from lake.compaction import Compaction, compact
from lake.ledger import record
from pipeline_assets.dagster_history import Retention, dagster_history
from pipeline_assets.lib.dagster_history import prune
from pipeline_assets.lib.sensor_cursors import sensor_cursor
from pipeline_assets.lib.snapshot_cursor import SnapshotCursor
from pipeline_assets.maintenance import compaction, orphan_files, repeated_rows, snapshot_expiry
from pipeline_assets.resources import LakeResource
from pipeline_assets.sensors.commit_ledger import commit_ledger
from pipeline_assets.sensors.iceberg_snapshots import iceberg_snapshots
from tests.lake_tables import Lake, alert, transaction

_FLINK = {names.FLINK_JOB_ID_PROPERTY: "job", names.FLINK_CHECKPOINT_PROPERTY: "1"}
_AT_ONCE = {"older_than_minutes": 0, "keep": 1}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as opened:
        yield opened


def run(
    lake: Lake, asset: dg.AssetsDefinition, instance: dg.DagsterInstance | None = None, **config: object
) -> Mapping[str, Any]:
    """Materializes one of them; its metadata."""
    result = dg.materialize(
        [asset],
        resources={"lake": LakeResource(state=str(lake.state))},
        run_config={"ops": {"__".join(asset.key.path): {"config": config}}},
        instance=instance,
        raise_on_error=False,
    )
    if not result.success:
        (event,) = [event for event in result.all_events if event.is_step_failure]
        raise RuntimeError(str(event.step_failure_data.error))
    (event,) = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


@pytest.fixture
def snapshots(lake: Lake) -> list[int]:
    """Five commits of Flink, each with a small file."""
    return [lake.append(names.TRANSACTIONS, [transaction(number)], **_FLINK) for number in range(5)]


def files(lake: Lake) -> int:
    return len(list(lake.table(names.TRANSACTIONS).scan().plan_files()))


def test_compaction_tells_files_and_bytes_before_and_after(lake: Lake, snapshots: list[int]) -> None:
    told = run(lake, compaction)
    assert (told["files_before"], told["files_after"], files(lake)) == (5, 1, 1)
    assert told["bytes_after"] < told["bytes_before"]
    rows = {record.data["table"]: record.data["files before"] for record in told["tables"].records}
    assert rows == {"transactions": 5, "dead_letters": 0, "alerts": 0, "commits": 0}


def test_compaction_dry_run_tells_the_same_files_and_leaves_them(lake: Lake, snapshots: list[int]) -> None:
    told = run(lake, compaction, dry_run=True)
    assert (told["dry_run"], told["files_before"], told["files_after"]) == (True, 5, 1)
    assert files(lake) == 5


def test_compaction_of_a_table_that_does_not_exist_fails_with_those_that_do(lake: Lake) -> None:
    with pytest.raises(
        RuntimeError, match="no such table: transaktions; there are transactions, dead_letters, alerts, commits"
    ):
        run(lake, compaction, only=["transaktions"])


def test_compaction_only_of_chosen_tables(lake: Lake, snapshots: list[int]) -> None:
    assert run(lake, compaction, only=["alerts"])["files_before"] == 0
    assert files(lake) == 5


def test_compaction_table_that_fails_keeps_no_other_from_its_own(
    lake: Lake, snapshots: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        lake.append(names.ALERTS, [alert(number)])

    def fail_for_transactions(table: Table, definition: tables.Table, **other: Any) -> Compaction:
        if definition.name == names.TRANSACTIONS:
            raise ValueError("a bound that cannot be written")
        return compact(table, definition, **other)

    monkeypatch.setattr("pipeline_assets.maintenance.compact", fail_for_transactions)
    with pytest.raises(RuntimeError, match="the table transactions: ValueError a bound that cannot be written"):
        run(lake, compaction)
    assert len(list(lake.table(names.ALERTS).scan().plan_files())) == 1


def test_maintenance_expiry_and_orphans_wait_for_no_compaction() -> None:
    for asset in (snapshot_expiry, orphan_files):
        assert not {compaction.key, snapshot_expiry.key} & set(asset.dependency_keys)


def _report_up_to(instance: dg.DagsterInstance, snapshot: int) -> None:
    """As if the sensor had reported the commits of `transactions` up to that one."""
    _store_cursor(instance, iceberg_snapshots.name, SnapshotCursor({names.TRANSACTIONS: snapshot}).encode())


def _store_cursor(instance: dg.DagsterInstance, name: str, cursor: str) -> None:
    location = RegisteredCodeLocationOrigin(names.CODE_LOCATION)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    instance.add_instigator_state(
        InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData(cursor=cursor))
    )


def test_snapshot_expiry_keeps_what_the_sensor_has_not_reported(
    lake: Lake, snapshots: list[int], instance: dg.DagsterInstance
) -> None:
    record(lake.catalog)
    _report_up_to(instance, snapshots[2])
    told = run(lake, snapshot_expiry, instance, only=["transactions"], **_AT_ONCE)
    assert (told["snapshots_before"], told["snapshots_after"]) == (5, 3)
    assert {snapshot.snapshot_id for snapshot in lake.table(names.TRANSACTIONS).snapshots()} == set(snapshots[2:])


def test_snapshot_expiry_keeps_what_is_not_in_the_ledger_yet(
    lake: Lake, snapshots: list[int], instance: dg.DagsterInstance
) -> None:
    _report_up_to(instance, snapshots[-1])
    assert run(lake, snapshot_expiry, instance, **_AT_ONCE)["snapshots_after"] == 5
    record(lake.catalog)
    assert run(lake, snapshot_expiry, instance, only=["transactions"], **_AT_ONCE)["snapshots_after"] == 1


def test_commit_ledger_sensor_records_once_and_tells_how_much(lake: Lake, snapshots: list[int]) -> None:
    def tick() -> object:
        return commit_ledger(dg.build_sensor_context(resources={"lake": LakeResource(state=str(lake.state))}))

    first = tick()
    assert isinstance(first, dg.SensorResult)
    (event,) = first.asset_events
    assert (event.asset_key, event.metadata["commits_recorded"].value) == (dg.AssetKey(["lake", "commits"]), 5)
    assert isinstance(tick(), dg.SkipReason)


def test_commit_ledger_sensor_without_a_pipeline_skips_with_the_reason(tmp_path: Path) -> None:
    given = {"lake": LakeResource(state=str(tmp_path / "nowhere"))}
    skipped = commit_ledger(dg.build_sensor_context(resources=given))
    assert isinstance(skipped, dg.SkipReason)
    assert "pipeline up" in (skipped.skip_message or "")


def test_snapshot_expiry_before_the_sensor_ever_ticked_forgets_nothing(
    lake: Lake, snapshots: list[int], instance: dg.DagsterInstance
) -> None:
    assert run(lake, snapshot_expiry, instance, **_AT_ONCE)["snapshots_after"] == 5


def test_snapshot_expiry_dry_run_forgets_nothing(
    lake: Lake, snapshots: list[int], instance: dg.DagsterInstance
) -> None:
    record(lake.catalog)
    _report_up_to(instance, snapshots[-1])
    assert run(lake, snapshot_expiry, instance, only=["transactions"], **_AT_ONCE, dry_run=True)["snapshots_after"] == 1
    assert len(list(lake.table(names.TRANSACTIONS).snapshots())) == 5


def test_repeated_rows_tells_how_many_alerts_were_stored_twice(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1), alert(2)])
    lake.append(names.ALERTS, [alert(1, kafka_offset=9)])
    assert run(lake, repeated_rows, dry_run=True)["repeated_rows"] == 1
    assert run(lake, repeated_rows)["repeated_rows"] == 1
    assert lake.table(names.ALERTS).scan().count() == 2
    with pytest.raises(RuntimeError, match="no such table: transactions; there are alerts"):
        run(lake, repeated_rows, only=["transactions"])


def test_orphan_files_tells_what_it_removed(lake: Lake, snapshots: list[int]) -> None:
    told = run(lake, orphan_files)
    assert (told["files"], told["bytes"]) == (0, 0)
    assert told["files_before"] > 15
    assert {record.data["table"] for record in told["tables"].records} == {
        "transactions", "dead_letters", "alerts", "commits", "sessions",
    }  # fmt: skip


def test_sensor_cursor_of_a_sensor_that_never_ticked_is_none(instance: dg.DagsterInstance) -> None:
    assert sensor_cursor(instance, iceberg_snapshots.name) is None
    _store_cursor(instance, "another", "{}")
    assert sensor_cursor(instance, iceberg_snapshots.name) is None


def test_dagster_history_tells_what_it_removed(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(dg.AssetKey(["lake", "transactions"])))
    result = dg.materialize(
        [dagster_history],
        instance=instance,
        run_config={"ops": {"maintenance__dagster_history": {"config": Retention(keep=1, dry_run=True).model_dump()}}},
    )
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["events_removed"].value == 0
    assert prune(instance, before=datetime.now(UTC) + timedelta(hours=1), keep=1).runs == 1
