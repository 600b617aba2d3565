"""The ledger of commits: each commit of the stream once, in order, with the offsets it brought, also after a break."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts import names, tables
from lake.compaction import compact
from lake.expiry import expire
from lake.ledger import positions, record
from tests.lake_tables import Lake, alert, dead_letter, transaction

_FLINK = {names.FLINK_JOB_ID_PROPERTY: "f00d", names.FLINK_CHECKPOINT_PROPERTY: "17"}


def entries(lake: Lake) -> list[dict[str, object]]:
    found: list[dict[str, object]] = lake.table(names.COMMITS).scan().to_arrow().to_pylist()
    return sorted(found, key=lambda row: (str(row["table_name"]), row["sequence_number"], row["source_partition"] or 0))


def test_record_commit_is_entered_with_the_offsets_of_each_partition(lake: Lake) -> None:
    snapshot = lake.append(names.TRANSACTIONS, [transaction(number) for number in (0, 1, 4, 5)], **_FLINK)
    done = record(lake.catalog)
    assert (done.commits, done.rows) == (1, 2)
    first, second = entries(lake)
    assert (first["snapshot_id"], first["flink_job_id"], first["flink_checkpoint_id"]) == (snapshot, "f00d", 17)
    assert (first["source_partition"], first["first_offset"], first["last_offset"], first["records"]) == (0, 0, 2, 2)
    assert (second["source_partition"], second["first_offset"], second["last_offset"]) == (1, 0, 2)


def test_record_called_again_enters_only_what_is_new(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    record(lake.catalog)
    assert record(lake.catalog).commits == 0
    lake.append(names.ALERTS, [alert(1)])
    lake.append(names.DEAD_LETTERS, [dead_letter(1)])
    assert record(lake.catalog).commits == 2
    assert [row["table_name"] for row in entries(lake)] == ["alerts", "dead_letters", "transactions"]


def test_record_more_commits_than_a_call_may_enter_are_entered_over_several(lake: Lake) -> None:
    for number in range(5):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    assert [record(lake.catalog, limit=2).commits for _ in range(4)] == [2, 2, 1, 0]


def test_record_maintenance_commits_are_passed_over(lake: Lake) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    compact(lake.table(names.TRANSACTIONS), tables.transactions())
    assert record(lake.catalog).commits == 3
    current = lake.table(names.TRANSACTIONS).current_snapshot()
    assert current is not None
    assert positions(lake.table(names.COMMITS)) == {names.TRANSACTIONS: current.snapshot_id}


def test_record_commit_whose_files_are_gone_is_entered_without_offsets(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    for task in lake.table(names.TRANSACTIONS).scan().plan_files():
        Path(task.file.file_path.removeprefix("file://")).unlink()
    record(lake.catalog)
    (entry,) = entries(lake)
    assert (entry["records"], entry["source_partition"], entry["first_offset"]) == (1, None, None)


def test_record_empty_commit_is_entered_so_that_the_position_moves(lake: Lake) -> None:
    snapshot = lake.append(names.TRANSACTIONS, [])
    assert record(lake.catalog).positions == {names.TRANSACTIONS: snapshot}
    (entry,) = entries(lake)
    assert (entry["records"], entry["source_partition"]) == (0, None)


def test_record_session_is_that_of_commits_since_it_began(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    later = f"{datetime.now(UTC) + timedelta(minutes=1):%Y%m%dT%H%M%SZ}-abc123"
    record(lake.catalog, session=later)
    lake.append(names.TRANSACTIONS, [transaction(2)])
    record(lake.catalog, session="20200101T000000Z-abc123")
    assert [entry["session_id"] for entry in entries(lake)] == [None, "20200101T000000Z-abc123"]


def test_positions_stay_known_when_the_ledger_itself_is_maintained(lake: Lake) -> None:
    for number in range(4):
        lake.append(names.TRANSACTIONS, [transaction(number)])
        record(lake.catalog)
    before = positions(lake.table(names.COMMITS))
    compact(lake.table(names.COMMITS), tables.commits())
    soon = datetime.now(UTC) + timedelta(hours=1)
    expire(lake.table(names.COMMITS), older_than=soon, keep=20, read=(), give_up=soon)
    assert positions(lake.table(names.COMMITS)) == before
    assert record(lake.catalog).commits == 0
    assert len(entries(lake)) == 4
