"""Which snapshots of several tables belong together."""

import pytest

from contracts import names, tables
from lake.pinning import pin, pin_committed
from tests.lake_tables import Lake, alert, dead_letter, transaction


def flink(checkpoint: int, job: str = "job-1") -> dict[str, str]:
    return {names.FLINK_JOB_ID_PROPERTY: job, names.FLINK_CHECKPOINT_PROPERTY: str(checkpoint)}


def whole(lake: Lake, checkpoint: int, job: str = "job-1") -> dict[str, int | None]:
    """Commit a checkpoint to every table; the snapshots by table."""
    properties = flink(checkpoint, job)
    return {
        names.TRANSACTIONS: lake.append(names.TRANSACTIONS, [transaction(checkpoint)], **properties),
        names.DEAD_LETTERS: lake.append(names.DEAD_LETTERS, [dead_letter(checkpoint)], **properties),
        names.ALERTS: lake.append(names.ALERTS, [alert(checkpoint)], **properties),
    }


def pinned(lake: Lake, *, committed: bool) -> dict[str, int | None]:
    found = (pin_committed if committed else pin)(lake.catalog, tables.stream_tables())
    return {name: each.snapshot_id for name, each in found.items()}


@pytest.mark.parametrize("committed", [True, False])
def test_pin_checkpoint_that_only_one_table_has_is_not_seen(lake: Lake, committed: bool) -> None:
    snapshots = whole(lake, 4)
    lake.append(names.TRANSACTIONS, [transaction(5)], **flink(5))
    assert pinned(lake, committed=committed) == snapshots


@pytest.mark.parametrize("committed", [True, False])
def test_pin_job_that_counts_from_one_again_is_after_the_job_before_it(lake: Lake, committed: bool) -> None:
    whole(lake, 400)
    snapshots = whole(lake, 1, "job-2")
    lake.append(names.TRANSACTIONS, [transaction(5)], **flink(2, "job-2"))
    assert pinned(lake, committed=committed) == snapshots


@pytest.mark.parametrize("committed", [True, False])
def test_pin_first_checkpoint_of_another_job_in_one_table_alone_is_not_seen(lake: Lake, committed: bool) -> None:
    snapshots = whole(lake, 400)
    lake.append(names.TRANSACTIONS, [transaction(5)], **flink(1, "job-2"))
    assert pinned(lake, committed=committed) == snapshots


@pytest.mark.parametrize("committed", [True, False])
def test_pin_maintenance_after_the_common_checkpoint_is_seen(lake: Lake, committed: bool) -> None:
    snapshots = whole(lake, 4)
    snapshots[names.ALERTS] = lake.append(names.ALERTS, [alert(9)])
    assert pinned(lake, committed=committed) == snapshots


@pytest.mark.parametrize("committed", [True, False])
def test_pin_table_whose_first_rows_come_after_the_common_checkpoint_is_seen_empty(lake: Lake, committed: bool) -> None:
    """Flink skips a commit without rows, so the first of one table can be later than the last of another."""
    first = lake.append(names.TRANSACTIONS, [transaction(3)], **flink(3))
    alerts = lake.append(names.ALERTS, [alert(3)], **flink(3))
    lake.append(names.TRANSACTIONS, [transaction(6)], **flink(6))
    lake.append(names.DEAD_LETTERS, [dead_letter(6)], **flink(6))
    assert pinned(lake, committed=committed) == {
        names.TRANSACTIONS: first, names.DEAD_LETTERS: None, names.ALERTS: alerts,
    }  # fmt: skip


def test_pin_committed_table_that_flink_never_wrote_to_may_lack_the_first_rows(lake: Lake) -> None:
    """Its commit may be the one that was not made any more."""
    newest = lake.append(names.TRANSACTIONS, [transaction(0)], **flink(1))
    assert pinned(lake, committed=True) == dict.fromkeys((names.TRANSACTIONS, names.DEAD_LETTERS, names.ALERTS))
    assert pinned(lake, committed=False)[names.TRANSACTIONS] == newest


def test_pin_tables_that_flink_never_wrote_to_are_seen_as_they_are(lake: Lake) -> None:
    newest = lake.append(names.TRANSACTIONS, [transaction(0)])
    for committed in (True, False):
        assert pinned(lake, committed=committed) == {
            names.TRANSACTIONS: newest, names.DEAD_LETTERS: None, names.ALERTS: None,
        }  # fmt: skip
