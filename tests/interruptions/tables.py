"""Maintenance of the tables, and what takes rows back or makes tables known again."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock, patch

from pyiceberg.exceptions import CommitFailedException

from contracts import names, tables
from contracts.paths import StatePaths
from lake import compaction
from lake.compaction import compact
from lake.expiry import expire
from lake.orphans import remove_orphans
from lake.repeats_removal import remove_repeats
from tests.interruptions.operation import Operation, Seen
from tests.interruptions.reading import addresses_of, opened, rows_of
from tests.lake_tables import alert, dead_letter, lake_in, transaction

_TRANSACTIONS = tables.transactions().identifier
_SOON, _LONG_AGO = timedelta(hours=1), timedelta(hours=-1)


def flink(checkpoint: int) -> dict[str, str]:
    """Return the properties of a commit of Flink's."""
    return {names.FLINK_JOB_ID_PROPERTY: "job", names.FLINK_CHECKPOINT_PROPERTY: str(checkpoint)}


def three_commits(state: Path) -> None:
    """Make tables with three small files of transactions, and a dead letter."""
    with lake_in(state) as lake:
        for number in range(3):
            lake.append(names.TRANSACTIONS, [transaction(number)], **flink(number))
        lake.append(names.DEAD_LETTERS, [dead_letter(7)], **flink(2))


def _compact(state: Path) -> None:
    with opened(state) as catalog:
        compact(catalog.load_table(_TRANSACTIONS), tables.transactions())


def _compact_refused(state: Path) -> None:
    refused = Mock(side_effect=CommitFailedException("another compaction was first"))
    with patch.object(compaction, "replace_files", refused), suppress(ExceptionGroup):
        _compact(state)


def _compact_unreadable(state: Path) -> None:
    with patch.object(compaction, "_read", Mock(side_effect=OSError("a disk"))), suppress(ExceptionGroup):
        _compact(state)


def _rows_and_files(state: Path) -> Seen:
    with opened(state) as catalog:
        files = len(list(catalog.load_table(_TRANSACTIONS).scan().plan_files()))
    return {**rows_of(state), "files": files}


def _expire(state: Path) -> None:
    now = datetime.now(UTC)
    with opened(state) as catalog:
        table = catalog.load_table(_TRANSACTIONS)
        expire(table, older_than=now + _SOON, keep=1, read=(), give_up=now + _LONG_AGO)


def _rows_and_snapshots(state: Path) -> Seen:
    with opened(state) as catalog:
        snapshots = sorted(each.snapshot_id for each in catalog.load_table(_TRANSACTIONS).snapshots())
    return {**rows_of(state), "snapshots": snapshots}


def _strays(state: Path) -> tuple[Path, ...]:
    folder = StatePaths(state).warehouse / names.NAMESPACE / names.TRANSACTIONS
    return (folder / "data" / "left.parquet", folder / "metadata" / "left.avro", folder / "data" / "young.parquet")


def _with_strays(state: Path) -> None:
    three_commits(state)
    *old, young = _strays(state)
    for path in (*old, young):
        path.write_bytes(b"PAR1")
    for path in old:
        os.utime(path, (0, 0))


def _remove_orphans(state: Path) -> None:
    with opened(state) as catalog:
        remove_orphans(catalog.load_table(_TRANSACTIONS), guard=timedelta(hours=3), now=datetime.now(UTC))


def _rows_and_strays(state: Path) -> Mapping[str, object]:
    return {**rows_of(state), **{path.name: path.exists() for path in _strays(state)}}


def _an_alert_twice(state: Path) -> None:
    with lake_in(state) as lake:
        lake.append(names.ALERTS, [alert(1), alert(2)])
        lake.append(names.ALERTS, [alert(1, kafka_offset=9), alert(3)])


def _remove_repeats(state: Path) -> None:
    warehouse = addresses_of(state).iceberg_warehouse
    with opened(state) as catalog:
        remove_repeats(catalog.load_table(tables.alerts().identifier), tables.alerts(), warehouse)


OPERATIONS = (
    Operation("compact", three_commits, _compact, _rows_and_files),
    Operation("compact, refused", three_commits, _compact_refused, _rows_and_files),
    Operation("compact, unreadable", three_commits, _compact_unreadable, _rows_and_files),
    Operation("expire", three_commits, _expire, _rows_and_snapshots),
    Operation("remove orphans", _with_strays, _remove_orphans, _rows_and_strays),
    Operation("remove repeats", _an_alert_twice, _remove_repeats, rows_of),
)
