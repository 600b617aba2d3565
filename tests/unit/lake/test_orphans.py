"""Which files may go: those that no snapshot lists, once they are too old to be a writer's that has not committed."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts import names, tables
from contracts.paths import StatePaths
from lake.compaction import compact
from lake.expiry import expire
from lake.orphans import Orphans, remove_orphans
from tests.lake_tables import Lake, transaction

_GUARD = timedelta(hours=3)
_FLINK = {names.FLINK_JOB_ID_PROPERTY: "job", names.FLINK_CHECKPOINT_PROPERTY: "1"}


def folder(lake: Lake) -> Path:
    return StatePaths(lake.state).warehouse / names.NAMESPACE / names.TRANSACTIONS


@pytest.fixture
def stray(lake: Lake) -> Callable[..., Path]:
    """Puts a file that no snapshot lists into the table's folder."""

    def put(name: str, *, age: timedelta) -> Path:
        path = folder(lake) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1")
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(path, (moment, moment))
        return path

    return put


def remove(lake: Lake, *, in_hours: float = 0, dry_run: bool = False) -> Orphans:
    now = datetime.now(UTC) + timedelta(hours=in_hours)
    return remove_orphans(lake.table(names.TRANSACTIONS), guard=_GUARD, now=now, dry_run=dry_run)


def test_remove_orphans_old_stray_file_goes_and_the_table_reads_on(lake: Lake, stray: Callable[..., Path]) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    old = stray("data/left-behind.parquet", age=timedelta(hours=4))
    removed = remove(lake)
    assert (removed.files, removed.bytes, removed.examples) == (1, 4, (str(old),))
    assert not old.exists()
    assert lake.table(names.TRANSACTIONS).scan().count() == 1


def test_remove_orphans_young_file_stays_since_a_writer_may_commit_it(lake: Lake, stray: Callable[..., Path]) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    young = stray("data/under-way.parquet", age=timedelta(hours=2))
    assert remove(lake).files == 0
    assert young.exists()


def test_remove_orphans_files_since_a_stalled_commit_stay_however_old(lake: Lake, stray: Callable[..., Path]) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)], **_FLINK)
    waiting = stray("metadata/checkpoint-manifest.avro", age=timedelta(hours=0))
    assert remove(lake, in_hours=48).files == 0
    assert waiting.exists()


def test_remove_orphans_after_compaction_and_expiry_leaves_what_the_table_needs(lake: Lake) -> None:
    for number in range(5):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    compact(lake.table(names.TRANSACTIONS), tables.transactions())
    assert remove(lake, in_hours=4).files == 0, "old snapshots still list the small files"
    soon = datetime.now(UTC) + timedelta(hours=1)
    expire(lake.table(names.TRANSACTIONS), older_than=soon, keep=1, read=(), give_up=soon)
    removed = remove(lake, in_hours=4)
    assert removed.files >= 5 + 5  # data files and manifest lists
    assert len(list(folder(lake).rglob("*.parquet"))) == 1
    assert lake.table(names.TRANSACTIONS).scan().count() == 5
    assert remove(lake, in_hours=4).files == 0


def test_remove_orphans_every_retained_snapshot_can_still_be_read(lake: Lake) -> None:
    ids = [lake.append(names.TRANSACTIONS, [transaction(number)]) for number in range(4)]
    compact(lake.table(names.TRANSACTIONS), tables.transactions())
    remove(lake, in_hours=4)
    table = lake.table(names.TRANSACTIONS)
    assert [table.scan(snapshot_id=snapshot).count() for snapshot in ids] == [1, 2, 3, 4]


def test_remove_orphans_dry_run_lists_and_removes_nothing(lake: Lake, stray: Callable[..., Path]) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    paths = [stray(f"data/{number}.parquet", age=timedelta(hours=4)) for number in range(7)]
    told = remove(lake, dry_run=True)
    assert (told.files, len(told.examples)) == (7, 5)
    assert all(path.exists() for path in paths)


def test_remove_orphans_folder_that_is_gone_is_an_error(lake: Lake) -> None:
    table = lake.table(names.ALERTS)
    (StatePaths(lake.state).warehouse / names.NAMESPACE / names.ALERTS).rename(lake.state / "moved")
    with pytest.raises(FileNotFoundError):
        remove_orphans(table, guard=_GUARD, now=datetime.now(UTC))


def test_remove_orphans_file_that_a_writer_removes_meanwhile_is_no_error(
    lake: Lake, stray: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flink's Iceberg removes its own old metadata files after each commit."""
    gone, other = (stray(f"metadata/{name}.crc", age=timedelta(hours=4)) for name in "ab")
    table = lake.table(names.TRANSACTIONS)
    refresh = table.refresh

    def meanwhile() -> object:
        gone.unlink()
        return refresh()

    monkeypatch.setattr(table, "refresh", meanwhile)
    removed = remove_orphans(table, guard=_GUARD, now=datetime.now(UTC))
    assert removed.files == 2
    assert not other.exists()
