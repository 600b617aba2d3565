"""Every defect planted between a ledger and the tables shows in the score, and a clean run shows none."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

import quality.score
from contracts import names
from contracts.addresses import Addresses
from contracts.errors import CheckError, NoLedger, NotRunning
from contracts.paths import StatePaths
from lake.duck import connect
from quality.score import ledger_folder, score, score_lake
from quality.score_result import Score
from tests.lake_tables import NOW, Lake, transaction
from tests.sent_records import fraud, malformed, raised, refused, sent, write_ledger

Judge = Callable[..., Score]
LONG_AGO = NOW - timedelta(minutes=10)


def test_score_clean_run_has_no_defect_and_counts_everything(judge: Judge) -> None:
    ledger = [*(sent(number) for number in range(8)), malformed(8, "malformed_json")]
    found = judge(ledger, [transaction(number) for number in range(8)], [refused(8)])
    assert found.clean
    assert (found.ledger.records, found.ledger.runs, found.ledger.scored, found.ledger.pending) == (9, 1, 9, 0)
    assert found.delivery.foreign == 0


def test_score_span_is_that_of_the_scored_records(judge: Judge) -> None:
    ledger = [
        sent(0, sent_at=NOW - timedelta(seconds=90)),
        sent(2),
        sent(4, sent_at=NOW + timedelta(seconds=5)),
    ]
    found = judge(ledger, [transaction(0), transaction(2)])
    assert found.ledger.first_sent_at == NOW - timedelta(seconds=90)
    assert found.ledger.seconds == 90


def test_score_record_in_neither_table_is_lost(judge: Judge) -> None:
    found = judge([sent(0), sent(2), sent(4)], [transaction(0), transaction(4)])
    assert (found.delivery.lost, found.ledger.pending) == (1, 0)
    assert not found.clean


def test_score_malformed_record_in_neither_table_is_lost(judge: Judge) -> None:
    ledger = [malformed(0, "malformed_json"), malformed(2, "malformed_json")]
    assert judge(ledger, dead_letters=[refused(2)]).delivery.lost == 1


def test_score_record_after_the_last_stored_one_of_its_partition_is_pending(judge: Judge) -> None:
    found = judge([sent(0), sent(2), sent(1), sent(3)], [transaction(0), transaction(1), transaction(3)])
    assert (found.ledger.pending, found.delivery.lost, found.ledger.scored) == (1, 0, 3)
    assert found.clean


def test_score_partition_without_a_stored_record_is_pending(judge: Judge) -> None:
    assert judge([sent(0), sent(1)], [transaction(0)]).ledger.pending == 1


def test_score_tables_without_rows_leave_everything_pending(judge: Judge) -> None:
    found = judge([sent(0), malformed(1, "no_payload")])
    assert (found.ledger.scored, found.ledger.pending, found.ledger.seconds) == (0, 2, None)
    assert found.detection.precision is None
    assert found.clean


def test_score_malformed_record_before_the_newest_transaction_waits_for_its_own_table(judge: Judge) -> None:
    found = judge([malformed(0, "malformed_json"), sent(2)], [transaction(2)])
    assert (found.ledger.pending, found.delivery.lost) == (1, 0)


def test_score_malformed_record_processed_longer_ago_than_a_commit_takes_is_lost(judge: Judge) -> None:
    found = judge(
        [malformed(0, "malformed_json"), sent(2), sent(4)],
        [transaction(2, processed_at=LONG_AGO), transaction(4)],
    )
    assert (found.ledger.pending, found.delivery.lost) == (0, 1)


def test_score_valid_record_among_the_dead_letters_has_a_wrong_fate(judge: Judge) -> None:
    found = judge([sent(0), sent(2)], [transaction(0)], [refused(2)])
    assert (found.delivery.refused, found.delivery.lost, found.delivery.wrong_fates) == (1, 0, 1)
    assert not found.clean


def test_score_malformed_record_among_the_transactions_has_a_wrong_fate(judge: Judge) -> None:
    found = judge([malformed(0, "malformed_json"), sent(2)], [transaction(0), transaction(2)])
    assert (found.delivery.accepted, found.delivery.lost) == (1, 0)
    assert not found.clean


def test_score_dead_letter_with_another_reason_is_counted_for_the_expected_one(judge: Judge) -> None:
    ledger = [malformed(0, "malformed_json"), malformed(2, "malformed_json"), malformed(4, "no_payload")]
    found = judge(ledger, dead_letters=[refused(0), refused(2, "bad_format"), refused(4, "no_payload")])
    assert [(r.reason, r.expected, r.found, r.other, r.stored) for r in found.reasons] == [
        ("bad_format", 0, 0, 0, 1),
        ("malformed_json", 2, 1, 1, 1),
        ("no_payload", 1, 1, 0, 1),
    ]
    assert found.wrong_reasons == 1
    assert not found.clean


def test_score_row_stored_twice_is_an_unexplained_duplicate(judge: Judge) -> None:
    found = judge([sent(0), sent(2)], [transaction(0), transaction(0), transaction(2)])
    assert (found.delivery.repeated_positions, found.delivery.repeated_ids) == (1, 0)
    assert not found.clean


def test_score_record_in_both_tables_is_a_duplicate_and_a_wrong_fate(judge: Judge) -> None:
    found = judge([sent(0)], [transaction(0)], [refused(0)])
    assert (found.delivery.repeated_positions, found.delivery.refused) == (1, 1)


def test_score_transaction_sent_twice_is_explained(judge: Judge) -> None:
    again = str(UUID(int=0))
    found = judge(
        [sent(0), sent(2, transaction_id=again, disturbance="duplicate")],
        [transaction(0), transaction(2, transaction_id=again)],
    )
    assert found.delivery.unexplained_duplicates == 0
    assert found.clean


def test_score_transaction_stored_more_often_than_sent_is_unexplained(judge: Judge) -> None:
    found = judge([sent(0), sent(4)], [transaction(0), transaction(2, transaction_id=str(UUID(int=0))), transaction(4)])
    assert (found.delivery.repeated_ids, found.delivery.repeated_positions, found.delivery.foreign) == (1, 0, 0)
    assert not found.clean


def test_score_repetition_beyond_what_the_ledger_covers_is_foreign(judge: Judge) -> None:
    """Its row of the ledger may lie in a file that was deleted or is not written yet."""
    found = judge([sent(0)], [transaction(0), transaction(2, transaction_id=str(UUID(int=0)))])
    assert (found.delivery.repeated_ids, found.delivery.foreign) == (0, 1)
    assert found.clean


def test_score_repair_of_a_refused_record_is_foreign(judge: Judge) -> None:
    known = str(UUID(int=0))
    repair = transaction(2, transaction_id=known, replayed_from="transactions.raw/0/0")
    ledger = [malformed(0, "bad_format", transaction_id=known), sent(4)]
    found = judge(ledger, [repair, transaction(4)], [refused(0, "bad_format")])
    assert (found.delivery.foreign, found.delivery.unexplained_duplicates) == (1, 0)
    assert found.clean


def test_score_refused_record_sent_again_by_hand_is_foreign(judge: Judge) -> None:
    """The transaction stands no more often than it was sent; that it was also replayed makes no difference."""
    known = str(UUID(int=0))
    by_hand = transaction(4, transaction_id=known)
    repair = transaction(2, transaction_id=known, replayed_from="transactions.raw/0/0")
    ledger = [malformed(0, "bad_format", transaction_id=known), sent(6)]
    found = judge(ledger, [repair, by_hand, transaction(6)], [refused(0, "bad_format")])
    assert (found.delivery.foreign, found.delivery.unexplained_duplicates) == (2, 0)


def test_score_row_of_another_producer_is_foreign_and_no_defect(judge: Judge) -> None:
    found = judge([sent(0), sent(4)], [transaction(number) for number in (0, 2, 4)])
    assert found.delivery.foreign == 1
    assert found.clean


def test_score_ledger_of_another_log_is_mismatched_and_lost(judge: Judge) -> None:
    found = judge([sent(0, transaction_id=str(UUID(int=99)))], [transaction(0)])
    assert (found.delivery.mismatched, found.delivery.lost) == (1, 1)


@pytest.mark.parametrize("outcome", ["unknown", "failed"])
def test_score_unacknowledged_record_that_arrived_is_reported_and_no_defect(judge: Judge, outcome: str) -> None:
    unsure = {"outcome": outcome, "partition": None, "offset": None}
    found = judge([sent(0), sent(2, **unsure), sent(4, **unsure)], [transaction(0), transaction(2)])
    counts = {
        "unknown": (found.ledger.unknown, found.ledger.unknown_arrived),
        "failed": (found.ledger.failed, found.ledger.failed_arrived),
    }
    assert counts.pop(outcome) == (2, 1)
    assert list(counts.values()) == [(0, 0)]
    assert (found.delivery.lost, found.delivery.foreign) == (0, 0)
    assert found.clean


def test_score_as_json_has_stable_keys(judge: Judge) -> None:
    found = judge(
        [fraud(0, incident=1), malformed(2, "no_payload")], [transaction(0)], [refused(2, "no_payload")], [raised(0)]
    )
    assert found.as_json() == {
        "clean": True,
        "ledger": {
            "records": 2, "runs": 1, "scored": 2, "pending": 0, "unknown": 0, "unknown_arrived": 0, "failed": 0,
            "failed_arrived": 0, "first_sent_at": NOW.isoformat(), "last_sent_at": NOW.isoformat(), "seconds": 0.0,
        },
        "delivery": {
            "lost": 0, "mismatched": 0, "refused": 0, "accepted": 0, "repeated_positions": 0, "repeated_ids": 0,
            "foreign": 0, "wrong_fates": 0, "unexplained_duplicates": 0,
        },
        "wrong_reasons": 0,
        "reasons": [{"reason": "no_payload", "expected": 1, "found": 1, "other": 0, "stored": 1}],
        "detection": {
            "alerts": 1, "precision": 1.0, "incidents": 1, "incidents_alerted": 1, "incident_recall": 1.0,
            "awaiting": 0, "foreign_alerts": 0,
            "ordinary": {"records": 0, "records_alerted": 0, "false_positive_rate": None},
            "rules": [
                {"rule": "high-value", "alerts": 1, "true_positives": 1, "false_positives": 0, "precision": 1.0}
            ],
            "scenarios": [
                {
                    "scenario": "velocity_burst", "records": 1, "records_alerted": 1, "incidents": 1,
                    "incidents_alerted": 1, "rules": ["high-value"], "record_recall": 1.0, "incident_recall": 1.0,
                }
            ],
        },
    }  # fmt: skip


def test_score_leaves_nothing_behind_in_the_connection(lake: Lake) -> None:
    folder = write_ledger(lake.state / "ledger", [sent(0)])
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        before = connection.execute("SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()")
        found = sorted(before.fetchall())
        assert score(connection, folder) == score(connection, folder)
        after = connection.execute("SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views()")
        assert sorted(after.fetchall()) == found


def test_score_unreadable_ledger_says_so(lake: Lake) -> None:
    folder = write_ledger(lake.state / "ledger", [sent(0)])
    (folder / "2.parquet").write_bytes(b"not Parquet")
    with (
        connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection,
        pytest.raises(CheckError, match="cannot be scored"),
    ):
        score(connection, folder)


def test_score_file_deleted_while_it_is_read_is_left_out(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    folder = write_ledger(lake.state / "ledger", [sent(0)])
    listed = quality.score._files
    first = [[folder / "0.parquet", folder / "1.parquet"]]
    monkeypatch.setattr(quality.score, "_files", lambda folder: first.pop() if first else listed(folder))
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        assert score(connection, folder).ledger.scored == 1
    assert first == []


def test_score_lake_several_files_are_one_ledger_and_unfinished_ones_are_left_out(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(2)])
    folder = write_ledger(ledger_folder(lake.addresses), [sent(0)])
    write_ledger(folder, [sent(2)], name="2")
    (folder / "3.partial").write_bytes(b"half")
    assert score_lake(lake.addresses).ledger.scored == 2


def test_score_lake_without_a_ledger_names_the_folder_and_the_remedy(lake: Lake) -> None:
    with pytest.raises(NoLedger, match="pipeline up") as raised_error:
        score_lake(lake.addresses)
    assert str(ledger_folder(lake.addresses)) in str(raised_error.value)


def test_score_lake_before_the_first_tables_says_to_start(lake: Lake) -> None:
    empty = Addresses.local(state=StatePaths(lake.state / "empty"), kafka_port=1, flink_rest_port=1, dagster_port=1)
    folder = write_ledger(lake.state / "ledger", [sent(0)])
    with pytest.raises(NotRunning, match="pipeline up"):
        score_lake(empty, folder)
