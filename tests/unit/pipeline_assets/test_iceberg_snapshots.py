"""The snapshot sensor tells every commit once, in order, over restarts, downtime, expiry and our own maintenance."""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from pyiceberg.types import StringType

from contracts import names
from contracts.errors import ConfigError
from pipeline_assets.graph import table_key
from pipeline_assets.resources import resources
from pipeline_assets.sensors import iceberg_snapshots as sensor_module
from pipeline_assets.sensors.iceberg_snapshots import iceberg_snapshots
from tests.lake_tables import NOW, Lake, alert, dead_letter, transaction


def _tick(state: Path, cursor: str | None) -> dg.SensorResult:
    result = iceberg_snapshots(dg.build_sensor_context(cursor=cursor, resources=resources(str(state))))
    assert isinstance(result, dg.SensorResult)
    return result


def _told(result: dg.SensorResult) -> list[tuple[str, str]]:
    """Table and snapshot id of every event, in order."""
    return [
        (event.asset_key.path[-1], str(event.metadata["snapshot_id"].value))
        for event in result.asset_events
        if isinstance(event, dg.AssetMaterialization)
    ]


def _materializations(result: dg.SensorResult) -> list[dg.AssetMaterialization]:
    return [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]


def test_iceberg_snapshots_new_commits_are_told_once_in_order(lake: Lake) -> None:
    made = [lake.append(names.TRANSACTIONS, [transaction(number)]) for number in range(3)]
    first = _tick(lake.state, None)
    assert _told(first) == [(names.TRANSACTIONS, str(snapshot)) for snapshot in made]
    assert _told(_tick(lake.state, first.cursor)) == []


def test_iceberg_snapshots_resumed_after_downtime_tells_what_was_missed(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    cursor = _tick(lake.state, None).cursor
    missed = [
        (names.TRANSACTIONS, str(lake.append(names.TRANSACTIONS, [transaction(1)]))),
        (names.DEAD_LETTERS, str(lake.append(names.DEAD_LETTERS, [dead_letter(1)]))),
        (names.ALERTS, str(lake.append(names.ALERTS, [alert(1)]))),
    ]
    assert _told(_tick(lake.state, cursor)) == missed


def test_iceberg_snapshots_more_commits_than_a_tick_may_tell_are_told_over_two(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 3
    monkeypatch.setattr(sensor_module, "SNAPSHOTS_A_TICK", limit)
    made = [(names.ALERTS, str(lake.append(names.ALERTS, [alert(number)]))) for number in range(limit + 2)]
    first = _tick(lake.state, None)
    assert _told(first) == made[:limit]
    assert _told(_tick(lake.state, first.cursor)) == made[limit:]


def test_iceberg_snapshots_more_rows_than_a_tick_may_read_are_told_over_several(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_module, "ROWS_A_TICK", 2)
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(3 * number + row) for row in range(3)])
    first = _tick(lake.state, None)
    assert len(_told(first)) == 1
    assert len(_told(_tick(lake.state, first.cursor))) == 1


def test_iceberg_snapshots_expired_cursor_goes_on_with_the_oldest_retained_and_says_so(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    cursor = _tick(lake.state, None).cursor
    made = [lake.append(names.TRANSACTIONS, [transaction(number)]) for number in (1, 2)]
    expired = [snapshot.snapshot_id for snapshot in lake.table(names.TRANSACTIONS).snapshots()][:2]
    lake.table(names.TRANSACTIONS).maintenance.expire_snapshots().by_ids(expired).commit()
    result = _tick(lake.state, cursor)
    assert _told(result) == [(names.TRANSACTIONS, str(made[1]))]
    assert "gap" in result.asset_events[0].metadata


def test_iceberg_snapshots_maintenance_commit_is_not_told_and_not_read_again(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    kept = lake.append(names.TRANSACTIONS, [transaction(1)], **{names.MAINTENANCE_PROPERTY: "compaction"})
    result = _tick(lake.state, None)
    assert len(_told(result)) == 1
    assert json.loads(result.cursor or "") == {names.TRANSACTIONS: str(kept)}


def test_iceberg_snapshots_event_carries_sizes_schema_and_origin(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    flink = {names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: "17"}
    snapshot = lake.append(names.TRANSACTIONS, [transaction(1), transaction(2)], **flink)
    event = _materializations(_tick(lake.state, None))[-1]
    values = {name: value.value for name, value in event.metadata.items()}
    assert event.asset_key == table_key(names.TRANSACTIONS)
    assert event.tags == {"dagster/data_version": str(snapshot)}
    assert (values["dagster/row_count"], values["rows_added"]) == (3, 2)
    assert (values["files"], values["files_added"]) == (2, 1)
    assert isinstance(values["bytes_added"], int)
    assert (values["flink_job_id"], values["flink_checkpoint_id"]) == ("f00d", 17)
    assert "dagster/column_schema" not in values, "the asset shows it; with each commit it would be 5 kB"


def test_iceberg_snapshots_table_with_other_columns_than_its_asset_tells_them(lake: Lake) -> None:
    with lake.table(names.TRANSACTIONS).update_schema() as update:
        update.add_column("device", StringType())
    lake.append(names.TRANSACTIONS, [transaction(0)])
    (event,) = _materializations(_tick(lake.state, None))
    schema = event.metadata["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert schema.columns[-1].name == "device"


def test_iceberg_snapshots_rows_that_a_commit_added_are_checked_at_once(lake: Lake) -> None:
    for channel in ("pos", "fax"):
        lake.append(names.TRANSACTIONS, [transaction(1, channel=channel)])
    lake.append(names.ALERTS, [alert(1)])
    found = [event for event in _tick(lake.state, None).asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert [(event.asset_key, event.check_name, event.passed) for event in found] == [
        (table_key(names.TRANSACTIONS), "new_rows", True),
        (table_key(names.TRANSACTIONS), "new_rows", False),
        (table_key(names.ALERTS), "new_rows", True),
    ]
    broken = found[1]
    assert broken.description == "Broken: channel is one of the 3 in the contract"
    assert (broken.severity, broken.metadata["rows_broken"].value) == (dg.AssetCheckSeverity.ERROR, 1)


def test_iceberg_snapshots_rows_of_a_large_commit_are_read_up_to_a_bound(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor_module, "ROWS_CHECKED", 3)
    lake.append(names.TRANSACTIONS, [transaction(number) for number in range(10)])
    materialized, checked = _tick(lake.state, None).asset_events
    assert materialized.metadata["rows_added"].value == 10
    assert checked.metadata["rows"].value == 3


def test_iceberg_snapshots_latency_is_of_the_added_rows_only(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0, kafka_timestamp=NOW - timedelta(hours=5))])
    sent = [NOW - timedelta(seconds=seconds) for seconds in (10, 20, 60)]
    lake.append(names.TRANSACTIONS, [transaction(n, kafka_timestamp=time) for n, time in enumerate(sent, 1)])
    committed = lake.table(names.TRANSACTIONS).current_snapshot()
    assert committed is not None
    age_ms = committed.timestamp_ms - NOW.timestamp() * 1000
    metadata = _materializations(_tick(lake.state, None))[-1].metadata
    assert metadata["latency_since"].value == "kafka_timestamp"
    assert metadata["latency_p50_ms"].value == pytest.approx(20_000 + age_ms)
    assert metadata["latency_p95_ms"].value == pytest.approx(56_000 + age_ms)
    assert metadata["latency_max_ms"].value == pytest.approx(60_000 + age_ms)


def test_iceberg_snapshots_dead_letters_count_latency_from_their_verdict(lake: Lake) -> None:
    lake.append(names.DEAD_LETTERS, [dead_letter(1)])
    assert _tick(lake.state, None).asset_events[0].metadata["latency_since"].value == "failed_at"


def test_iceberg_snapshots_files_removed_by_maintenance_are_told_without_latency(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    for task in lake.table(names.TRANSACTIONS).scan().plan_files():
        Path(task.file.file_path.removeprefix("file://")).unlink()
    (event,) = _tick(lake.state, None).asset_events
    assert event.metadata["rows_added"].value == 1
    assert "latency_p50_ms" not in event.metadata


def test_iceberg_snapshots_empty_commit_is_told_without_latency(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [])
    (event,) = _tick(lake.state, None).asset_events
    assert "latency_p50_ms" not in event.metadata


def test_iceberg_snapshots_pipeline_never_started_skips_with_the_reason(tmp_path: Path) -> None:
    context = dg.build_sensor_context(resources=resources(str(tmp_path / "nowhere")))
    result = iceberg_snapshots(context)
    assert isinstance(result, dg.SkipReason)
    assert "pipeline up" in (result.skip_message or "")


def test_iceberg_snapshots_missing_table_does_not_hide_the_others(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1)])
    lake.catalog.drop_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}")
    assert [table for table, _ in _told(_tick(lake.state, None))] == [names.ALERTS]


@pytest.mark.parametrize("cursor", ["{", "[]", '{"transactions": "x"}'])
def test_iceberg_snapshots_unreadable_cursor_is_an_error_that_says_what_to_do(lake: Lake, cursor: str) -> None:
    with pytest.raises(ConfigError, match="Empty it"):
        _tick(lake.state, cursor)
