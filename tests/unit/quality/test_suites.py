"""Defects of every dimension, planted into each table, are found by name and in exactly their rows; clean rows pass.

Twice: by Great Expectations over whole tables, and over new rows in Arrow, which must come to the same.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from contracts import names, tables
from contracts.errors import CheckError, ConfigError
from lake.pinning import Pinned, pin
from lake.tables import iceberg_schema
from quality.expectations import NoRows, Present, Suite
from quality.new_rows import check
from quality.outcome import CheckOutcome
from quality.runner import Verdict, run
from quality.settings import QualitySettings, load_quality
from quality.suites.catalogue import SUITES
from tests.lake_tables import NOW, Lake, alert, dead_letter, lake_in, transaction

SETTINGS = load_quality()
ROWS = 20
Rows = dict[str, list[dict[str, object]]]


def required(table: tables.Table) -> list[str]:
    return [column.name for column in table.columns if not column.nullable]


def clean() -> Rows:
    """Twenty transactions of two partitions, a dead letter behind each, and two alerts."""
    return {
        names.TRANSACTIONS: [transaction(number) for number in range(ROWS)],
        names.DEAD_LETTERS: [dead_letter(0, partition=part, offset=ROWS // 2, failed_at=NOW) for part in (0, 1)],
        names.ALERTS: [
            alert(number, transaction_id=transaction(2 * number)["transaction_id"], source_offset=number)
            for number in range(2)
        ],
    }


def loose(lake: Lake, rows: Rows) -> tuple[dict[str, Pinned], dict[str, pa.Table]]:
    """Tables with the columns of the real ones, all optional: those refuse a missing value at the door."""
    pinned, arrow = {}, {}
    for definition in tables.stream_tables():
        fields = [field.with_nullable(True).remove_metadata() for field in iceberg_schema(definition).as_arrow()]
        table = lake.catalog.create_table(f"{names.NAMESPACE}.loose_{definition.name}", pa.schema(fields))
        arrow[definition.name] = pa.Table.from_pylist(rows[definition.name], schema=table.schema().as_arrow())
        table.append(arrow[definition.name])
        snapshot = table.current_snapshot()
        assert snapshot is not None
        pinned[definition.name] = Pinned(table.metadata_location, snapshot.snapshot_id)
    return pinned, arrow


def judge(lake: Lake, table: str) -> Verdict:
    return run(SUITES[table](SETTINGS), pin(lake.catalog, tables.stream_tables()))


@pytest.mark.parametrize("table", SUITES)
def test_run_clean_rows_pass_every_expectation(lake: Lake, table: str) -> None:
    for name, rows in clean().items():
        lake.append(name, rows)
    verdict = judge(lake, table)
    assert [outcome.name for outcome in verdict.outcomes if not outcome.passed] == []
    assert (verdict.broken, verdict.pass_rate) == (0, 1.0)
    assert verdict.rows == len(clean()[table])


@pytest.mark.parametrize("table", SUITES)
def test_run_empty_tables_pass_and_have_no_pass_rate(lake: Lake, table: str) -> None:
    verdict = judge(lake, table)
    assert all(outcome.passed for outcome in verdict.outcomes)
    assert verdict.pass_rate is None


def test_suites_together_cover_the_six_dimensions() -> None:
    covered = {
        table: {expected.dimension for expected in suite(SETTINGS).expectations} for table, suite in SUITES.items()
    }
    assert covered[names.TRANSACTIONS] == {
        "uniqueness", "validity", "completeness", "timeliness", "accuracy", "consistency",
    }  # fmt: skip
    assert covered[names.ALERTS] == covered[names.TRANSACTIONS]
    assert covered[names.DEAD_LETTERS] == covered[names.TRANSACTIONS] - {"timeliness"}


# By table: what is planted, one row each, over the clean ones; and how the names of the broken expectations begin, with
# the number of rows that break each (of duplicates both count; None where the whole is broken and not single rows).
_LATE = {"processed_at": NOW + timedelta(seconds=60)}
PLANTED: Mapping[str, tuple[tuple[Mapping[str, object], ...], dict[str, int]]] = {
    names.TRANSACTIONS: (
        (
            *(
                dict[str, object]({column.name: None})
                for column in tables.transactions().columns
                if not column.nullable
            ),
            {"transaction_id": transaction(0)["transaction_id"]},
            {"kafka_partition": 0, "kafka_offset": 0},
            {"replayed_from": "transactions.raw/0/1"},
            {"replayed_from": "transactions.raw/0/1"},
            {"transaction_id": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"},
            {"account_id": "ACC12345678"},
            {"account_id": "ACC123456789\n"},
            {"amount": Decimal("0.00")},
            {"amount": Decimal("-5.00")},
            {"amount": Decimal("1000000.01"), "currency": "USD"},
            {"amount": Decimal("1000000.01"), "currency": "JPY"},  # within its bound
            {"currency": "usd"},
            {"merchant_id": "MER1234567"},
            {"merchant_name": ""},
            {"merchant_name": "x" * 101},
            {"merchant_category": "54a1"},
            {"transaction_type": "gift"},
            {"channel": "fax"},
            {"country": "XX"},
            {"event_time": NOW + timedelta(minutes=2)},
            *(_LATE for _ in range(4)),
            {"kafka_partition": 1, "kafka_offset": ROWS // 2},
        ),
        {
            **{f"{name} is present": 1 for name in required(tables.transactions())},
            "transaction_id is unique": 2,
            "a transaction_id names one payment": 1,
            "(kafka_partition, kafka_offset) is unique": 2,
            "replayed_from is unique": 2,
            "transaction_id matches": 1,
            "account_id matches": 2,
            "amount is above zero": 2,
            "amount is within the bound of its currency": 1,
            "currency is one of": 1,
            "merchant_id matches": 1,
            "merchant_name has": 2,
            "merchant_category matches": 1,
            "transaction_type is one of": 1,
            "channel is one of": 1,
            "country is one of": 1,
            "event_time is at most 60 s after kafka_timestamp": 1,
            "99.9 % of the newest day's rows are written within 30 s": 1,
            "the 95th percentile of the newest day's rows is written within 30 s": 1,
            "no Kafka record is both a transaction and a dead letter": 1,
        },
    ),
    names.ALERTS: (
        (
            *({name: None} for name in required(tables.alerts())),
            # Stored twice at one place. What repeats an earlier alert at a later one is seen by no reader.
            {name: alert(0)[name] for name in ("alert_id", "kafka_partition", "kafka_offset", "processed_at")},
            {"alert_id": "A" * 64},
            {"transaction_id": "not a uuid"},
            {"account_id": "ACC1"},
            {"rule_id": ""},
            {"rule_version": "v" * 101},
            {"severity": "fatal"},
            {"event_time": NOW + timedelta(minutes=2)},
            {"source_offset": 3},  # of another transaction
            {"source_offset": 999},  # not stored yet: none of the table's business
            *(_LATE for _ in range(4)),
        ),
        {
            **{f"{name} is present": 1 for name in required(tables.alerts())},
            "alert_id is unique": 2,
            "alert_id matches": 1,
            "transaction_id matches": 1,
            "account_id matches": 1,
            "rule_id has": 1,
            "rule_version has": 1,
            "severity is one of": 1,
            "event_time is at most 60 s after detected_at": 1,
            "99.9 % of the newest day's rows are written within 30 s": 1,
            "the 95th percentile of the newest day's rows is written within 30 s": 1,
            "every alert has its transaction": 3,
        },
    ),
    names.DEAD_LETTERS: (
        (
            *(
                dict[str, object]({column.name: None})
                for column in tables.dead_letters().columns
                if not column.nullable
            ),
            {"partition": 0, "offset": ROWS // 2},
            {"reason_code": "bad luck"},
            {"reason_code": "validator_disagreement"},
            {"payload_encoding": "latin-1"},
            {"replayed_from": "elsewhere"},
            {"failed_at": NOW + timedelta(days=1)},  # NOW is when the tests were collected
            {"partition": 0, "offset": 3},
        ),
        {
            **{f"{name} is present": 1 for name in required(tables.dead_letters())},
            "(topic, partition, offset) is unique": 2,
            "reason_code is one of": 1,
            "payload_encoding is one of": 1,
            "replayed_from matches": 1,
            "failed_at is at most 60 s in the future": 1,
            "no record was refused that the contract accepts": 1,
            "no dead letter is a transaction too": 1,
        },
    ),
}
_MAKE = {names.TRANSACTIONS: transaction, names.DEAD_LETTERS: dead_letter, names.ALERTS: alert}


@dataclass(frozen=True)
class Found:
    """What is found of the defects planted into one table."""

    whole: Verdict
    new: tuple[CheckOutcome, ...]


@pytest.fixture(scope="module", params=SUITES)
def planted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Found]:
    """The table, and what is found in it. A run takes a second, so all defects of a table share it."""
    table: str = request.param
    rows = clean()
    for number, defect in enumerate(PLANTED[table][0]):
        values: dict[str, object] = {}
        if table == names.ALERTS:  # of a transaction that is there, but where the defect says otherwise
            values = {
                "transaction_id": transaction(2 * (number % 10))["transaction_id"],
                "source_offset": number % 10,
                "rule_version": f"of {number}",
            }
        # Numbers in a row, so that only what is planted leaves a gap.
        rows[table].append(_MAKE[table](ROWS + 2 + number, **{**values, **defect}))
    with lake_in(tmp_path_factory.mktemp("planted")) as lake:
        pinned, arrow = loose(lake, rows)
        suite = SUITES[table](SETTINGS)
        return table, Found(run(suite, pinned), check(suite, arrow[table]))


def broken(outcomes: tuple[CheckOutcome, ...]) -> Counter[str]:
    return Counter({outcome.name: outcome.unexpected or 0 for outcome in outcomes if not outcome.passed})


def test_run_planted_defects_are_found_in_exactly_their_rows(planted: tuple[str, Found]) -> None:
    table, found = planted
    expected = PLANTED[table][1]
    by_beginning = {
        beginning: rows
        for name, rows in broken(found.whole.outcomes).items()
        for beginning in expected
        if name.startswith(beginning)
    }
    assert by_beginning == expected
    assert len(broken(found.whole.outcomes)) == len(expected), "something else is broken too"


def test_suite_every_expectation_but_distributions_is_broken_by_a_planted_defect(planted: tuple[str, Found]) -> None:
    _, found = planted
    kept = {outcome.name for outcome in found.whole.outcomes if outcome.passed}
    assert {name for name in kept if "distributed as configured" not in name} == set()


def test_check_new_rows_come_to_the_same_as_the_whole_table(planted: tuple[str, Found]) -> None:
    _, found = planted
    whole = {outcome.name: outcome for outcome in found.whole.outcomes}
    assert len(found.new) > 5
    for outcome in found.new:
        other = whole[outcome.name]
        assert (outcome.passed, outcome.unexpected) == (other.passed, other.unexpected), outcome.name
        assert (outcome.dimension, outcome.critical) == (other.dimension, other.critical)


def test_run_pass_rate_counts_each_broken_row_once(planted: tuple[str, Found]) -> None:
    table, found = planted
    assert 0 < found.whole.broken <= len(PLANTED[table][0])
    assert found.whole.pass_rate == pytest.approx(1 - found.whole.broken / found.whole.rows)


def test_run_distribution_that_is_another_one_is_a_warning(lake: Lake) -> None:
    few = QualitySettings.model_validate({"accuracy": {**SETTINGS.accuracy.model_dump(), "rows_at_least": ROWS}})
    lake.append(names.TRANSACTIONS, [transaction(number, channel="atm") for number in range(ROWS)])
    verdict = run(SUITES[names.TRANSACTIONS](few), pin(lake.catalog, tables.stream_tables()))
    found = {outcome.name: outcome.critical for outcome in verdict.outcomes if not outcome.passed}
    assert found["the values of channel are distributed as configured"] is False
    too_few = run(SUITES[names.TRANSACTIONS](SETTINGS), pin(lake.catalog, tables.stream_tables()))
    assert all(outcome.passed for outcome in too_few.outcomes)


def test_run_offending_values_are_given_as_examples(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(2, channel="fax"), transaction(4, channel="fax")])
    (found,) = [outcome for outcome in judge(lake, names.TRANSACTIONS).outcomes if not outcome.passed]
    assert found.examples == ("fax",)


@pytest.mark.parametrize(
    "expected", [Present(column="nowhere"), NoRows(dimension="accuracy", said="odd", query="SELECT nonsense")]
)
def test_run_expectation_that_cannot_be_evaluated_raises(lake: Lake, expected: Present | NoRows) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    with pytest.raises(CheckError, match=r"nowhere|odd"):
        run(Suite(names.TRANSACTIONS, (expected,)), pin(lake.catalog, tables.stream_tables()))


def test_run_data_file_that_is_gone_raises(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    for path in Path(lake.addresses.iceberg_warehouse.removeprefix("file://")).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(CheckError):
        judge(lake, names.TRANSACTIONS)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ("pass_rate: 1.5", "pass_rate"),
        ("accuracy: {highest_amount: {USD: 5}}", "default"),
        ("accuracy: {distributions: {channel: {tolerance: 0.1, shares: {pos: 0.5}}}}", "add up to 0.500"),
    ],
)
def test_load_quality_mistake_is_named(tmp_path: Path, edit: str, complaint: str) -> None:
    path = tmp_path / "quality.yaml"
    path.write_text(edit, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        load_quality(path)


def test_run_table_pinned_before_its_first_rows_is_empty(lake: Lake) -> None:
    """A commit that another table has not reached yet is not seen, though it is this table's newest."""
    lake.append(names.DEAD_LETTERS, [dead_letter(1)])
    pinned = pin(lake.catalog, tables.stream_tables())
    assert run(SUITES[names.DEAD_LETTERS](SETTINGS), pinned).rows == 1
    unseen = {**pinned, names.DEAD_LETTERS: replace(pinned[names.DEAD_LETTERS], snapshot_id=None)}
    assert run(SUITES[names.DEAD_LETTERS](SETTINGS), unseen).rows == 0
