"""Which commits a table may forget: none that a restore of Flink or a reader still needs, and never a row."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts import names, tables
from lake.compaction import compact
from lake.expiry import Expiry, expire
from lake.snapshots import snapshots_after
from tests.lake_tables import Lake, transaction


# Everything in these tests is some milliseconds old.
def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def flink(checkpoint: int) -> dict[str, str]:
    return {names.FLINK_JOB_ID_PROPERTY: "job", names.FLINK_CHECKPOINT_PROPERTY: str(checkpoint)}


def commits(lake: Lake, count: int) -> list[int]:
    return [lake.append(names.TRANSACTIONS, [transaction(number)], **flink(number)) for number in range(count)]


def retained(lake: Lake) -> list[int]:
    """Snapshot ids, oldest first."""
    return [commit.snapshot_id for commit in snapshots_after(lake.table(names.TRANSACTIONS), None, 1000)]


def forget(lake: Lake, **other: object) -> Expiry:
    settings: dict[str, object] = {"older_than": soon(), "keep": 1, "read": (), "give_up": long_ago(), **other}
    return expire(lake.table(names.TRANSACTIONS), **settings)  # type: ignore[arg-type]


def test_expire_old_commits_are_forgotten_and_every_row_stays(lake: Lake) -> None:
    ids = commits(lake, 5)
    assert forget(lake, keep=2) == Expiry(5, 2)
    assert retained(lake) == ids[-2:]
    assert lake.table(names.TRANSACTIONS).scan().count() == 5


def test_expire_young_commits_stay(lake: Lake) -> None:
    commits(lake, 3)
    assert forget(lake, older_than=long_ago()) == Expiry(3, 3)


def test_expire_flinks_newest_commit_stays_with_all_that_maintenance_did_since(lake: Lake) -> None:
    ids = commits(lake, 3)
    for _ in range(3):
        lake.append(names.TRANSACTIONS, [transaction(70)])  # as maintenance: no checkpoint in it
        compact(lake.table(names.TRANSACTIONS), tables.transactions())
    forget(lake)
    kept = snapshots_after(lake.table(names.TRANSACTIONS), None, 100)
    assert (kept[0].snapshot_id, kept[0].flink_checkpoint_id) == (ids[2], 2)
    assert len(kept) == 7
    chain = {commit.snapshot_id: commit.parent_id for commit in kept}
    assert all(parent in chain for commit, parent in chain.items() if commit != ids[2]), "a link is missing"


def test_expire_what_a_reader_has_not_read_stays_with_its_position(lake: Lake) -> None:
    ids = commits(lake, 6)
    forget(lake, read=(ids[4], ids[2]))
    assert retained(lake) == ids[2:]
    table = lake.table(names.TRANSACTIONS)
    assert [commit.after_gap for commit in snapshots_after(table, ids[2], 10)] == [False] * 3


def test_expire_reader_that_never_read_keeps_everything(lake: Lake) -> None:
    commits(lake, 4)
    assert forget(lake, read=(None,)) == Expiry(4, 4)


def test_expire_reader_that_has_been_away_for_too_long_is_given_up(lake: Lake) -> None:
    ids = commits(lake, 4)
    assert forget(lake, read=(None, ids[0]), give_up=soon()) == Expiry(4, 1)


def test_expire_dry_run_tells_and_changes_nothing(lake: Lake) -> None:
    commits(lake, 4)
    assert forget(lake, dry_run=True) == Expiry(4, 1)
    assert len(retained(lake)) == 4


def test_expire_empty_table_has_nothing_to_forget(lake: Lake) -> None:
    assert forget(lake) == Expiry(0, 0)


def test_expire_rolled_back_commits_that_are_young_stay(lake: Lake) -> None:
    ids = commits(lake, 3)
    lake.table(names.TRANSACTIONS).manage_snapshots().set_current_snapshot(ids[1]).commit()
    assert forget(lake, keep=5, older_than=long_ago()) == Expiry(3, 3)


def test_expire_rolled_back_commits_are_forgotten(lake: Lake) -> None:
    ids = commits(lake, 3)
    lake.table(names.TRANSACTIONS).manage_snapshots().set_current_snapshot(ids[1]).commit()
    forget(lake, keep=5)
    assert [snapshot.snapshot_id for snapshot in lake.table(names.TRANSACTIONS).snapshots()] == ids[:2]


@pytest.mark.parametrize("keep", [1, 3])
def test_expire_at_once_beside_a_commit_loses_neither(lake: Lake, keep: int) -> None:
    commits(lake, 5)
    stale = lake.table(names.TRANSACTIONS)
    lake.append(names.TRANSACTIONS, [transaction(9)], **flink(9))
    expire(stale, older_than=soon(), keep=keep, read=(), give_up=long_ago())
    assert lake.table(names.TRANSACTIONS).scan().count() == 6
    assert snapshots_after(lake.table(names.TRANSACTIONS), None, 100)[-1].flink_checkpoint_id == 9


def test_expire_commits_with_a_tag_or_a_branch_stay_until_it_is_removed(lake: Lake) -> None:
    ids = commits(lake, 5)
    table = lake.table(names.TRANSACTIONS)
    table.manage_snapshots().create_tag(ids[0], "audit-2026").create_branch(ids[2], "what-if").commit()
    assert forget(lake) == Expiry(5, 3)
    assert {snapshot.snapshot_id for snapshot in lake.table(names.TRANSACTIONS).snapshots()} == {ids[0], ids[2], ids[4]}
    assert lake.table(names.TRANSACTIONS).scan(snapshot_id=ids[0]).count() == 1
    lake.table(names.TRANSACTIONS).manage_snapshots().remove_tag("audit-2026").commit()
    assert forget(lake) == Expiry(3, 2)
