"""Compaction's commits call themselves what they are."""

import pytest
from pyiceberg.table.snapshots import Operation, Summary, update_snapshot_summaries

from contracts import names, tables
from lake.compaction import compact
from tests.lake_tables import Lake, transaction


def test_replace_files_commit_is_a_replacement_with_the_totals_of_an_overwrite(lake: Lake) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    compact(lake.table(names.TRANSACTIONS), tables.transactions())
    snapshot = lake.table(names.TRANSACTIONS).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation is Operation.REPLACE
    told = snapshot.summary.additional_properties
    assert (told["total-records"], told["total-data-files"], told["deleted-data-files"]) == ("3", "1", "3")
    lake.append(names.TRANSACTIONS, [transaction(3)])
    assert lake.table(names.TRANSACTIONS).scan().count() == 4


def test_update_snapshot_summaries_replace_is_still_refused_by_pyiceberg() -> None:
    """When this fails, PyIceberg can write `replace` itself, and `lake/replacement.py` is of no use any more."""
    with pytest.raises(ValueError, match="Operation not implemented"):
        update_snapshot_summaries(Summary(Operation.REPLACE))
