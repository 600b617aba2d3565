"""History is read oldest first, each commit once, and what can no longer be read is said."""

from datetime import UTC

from contracts import names
from lake.snapshots import current_snapshot, snapshots_after
from tests.lake_tables import NOW, Lake, transaction


def _append(lake: Lake, number: int) -> int:
    return lake.append(names.TRANSACTIONS, [transaction(number)])


def _ids(lake: Lake, after: int | None, limit: int = 10) -> list[int]:
    return [facts.snapshot_id for facts in snapshots_after(lake.table(names.TRANSACTIONS), after, limit)]


def test_snapshots_after_nothing_read_yet_gives_all_oldest_first(lake: Lake) -> None:
    made = [_append(lake, number) for number in range(3)]
    assert _ids(lake, None) == made


def test_snapshots_after_a_known_one_gives_only_newer_ones(lake: Lake) -> None:
    made = [_append(lake, number) for number in range(3)]
    assert _ids(lake, made[0]) == made[1:]
    assert _ids(lake, made[2]) == []


def test_snapshots_after_with_a_limit_gives_the_oldest(lake: Lake) -> None:
    made = [_append(lake, number) for number in range(4)]
    assert _ids(lake, made[0], limit=2) == made[1:3]


def test_snapshots_after_of_an_empty_table_is_empty(lake: Lake) -> None:
    assert _ids(lake, None) == []
    assert current_snapshot(lake.table(names.TRANSACTIONS)) is None


def test_snapshots_after_an_expired_one_starts_with_the_oldest_retained_and_says_so(lake: Lake) -> None:
    made = [_append(lake, number) for number in range(4)]
    lake.table(names.TRANSACTIONS).maintenance.expire_snapshots().by_ids(made[:2]).commit()
    found = snapshots_after(lake.table(names.TRANSACTIONS), made[0], 10)
    assert [facts.snapshot_id for facts in found] == made[2:]
    assert [facts.after_gap for facts in found] == [True, False]


def test_snapshots_after_a_rolled_back_one_starts_at_the_shared_ancestor(lake: Lake) -> None:
    made = [_append(lake, number) for number in range(3)]
    table = lake.table(names.TRANSACTIONS)
    table.manage_snapshots().rollback_to_snapshot(made[0]).commit()
    again = _append(lake, 9)
    assert _ids(lake, made[2]) == [again]


def test_snapshots_after_an_append_states_what_flink_and_iceberg_wrote(lake: Lake) -> None:
    _append(lake, 0)
    flink = {names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: "17"}
    lake.append(names.TRANSACTIONS, [transaction(1), transaction(2)], **flink)
    first, facts = snapshots_after(lake.table(names.TRANSACTIONS), None, 10)
    assert (facts.added_rows, facts.total_rows) == (2, 3)
    assert (facts.added_files, facts.total_files) == (1, 2)
    assert facts.added_bytes is not None
    assert facts.total_bytes == (first.total_bytes or 0) + facts.added_bytes
    assert (facts.flink_job_id, facts.flink_checkpoint_id) == ("f00d", 17)
    assert (first.flink_job_id, first.flink_checkpoint_id) == (None, None)
    assert facts.parent_id == first.snapshot_id
    assert facts.operation == "append"
    assert facts.committed_at.tzinfo is UTC
    assert facts.committed_at >= NOW
    assert not facts.maintenance


def test_snapshots_after_a_maintenance_commit_marks_it(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)], **{names.MAINTENANCE_PROPERTY: "compaction"})
    assert snapshots_after(lake.table(names.TRANSACTIONS), None, 1)[0].maintenance
