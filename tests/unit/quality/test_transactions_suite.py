"""Every kind of defect planted into the table is found, and clean rows are left in peace."""

from decimal import Decimal

import pyarrow as pa
import pytest
from great_expectations import ExpectationSuite
from great_expectations.expectations import core as gxe
from pyiceberg.table import Table

from contracts import names, tables
from contracts.errors import CheckError
from lake.tables import iceberg_schema
from quality.outcome import CheckOutcome
from quality.runner import run
from quality.suites.transactions import suite
from tests.lake_tables import Lake, lake_in, transaction

ROWS = 20


def _check(table: Table) -> tuple[CheckOutcome, ...]:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return run(suite(), table.metadata_location, snapshot.snapshot_id)


def test_run_clean_rows_pass_every_expectation(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(number) for number in range(ROWS)])
    outcomes = _check(lake.table(names.TRANSACTIONS))
    assert [outcome for outcome in outcomes if not outcome.passed] == []
    assert {outcome.dimension for outcome in outcomes} == {"completeness", "uniqueness", "validity"}
    assert {outcome.rows for outcome in outcomes} == {ROWS}


def test_run_older_snapshot_is_judged_without_the_rows_that_came_later(lake: Lake) -> None:
    clean = lake.append(names.TRANSACTIONS, [transaction(1)])
    lake.append(names.TRANSACTIONS, [transaction(1)])
    table = lake.table(names.TRANSACTIONS)
    assert all(outcome.passed for outcome in run(suite(), table.metadata_location, clean))
    assert not all(outcome.passed for outcome in _check(table))


# Expectation (how its name begins) -> how many of the rows in DEFECTS break it; of duplicates both count.
EXPECTED = {
    **{f"{column.name} is present": 1 for column in tables.transactions().columns if not column.nullable},
    "transaction_id is unique": 2,
    "(kafka_partition, kafka_offset) is unique": 2,
    "replayed_from is unique": 2,
    "transaction_id matches": 1,
    "account_id matches": 2,
    "amount is above zero": 2,
    "currency is one of": 1,
    "merchant_id matches": 1,
    "merchant_name has": 2,
    "merchant_category matches": 1,
    "transaction_type is one of": 1,
    "channel is one of": 1,
    "country is one of": 1,
}
DEFECTS: tuple[dict[str, object], ...] = (
    *(dict[str, object]({column.name: None}) for column in tables.transactions().columns if not column.nullable),
    {"transaction_id": transaction(0)["transaction_id"]},
    {"kafka_partition": 0, "kafka_offset": 0},
    {"replayed_from": "transactions.raw/0/1"},
    {"replayed_from": "transactions.raw/0/1"},
    {"transaction_id": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"},
    {"account_id": "ACC12345678"},
    {"account_id": "ACC123456789\n"},
    {"amount": Decimal("0.00")},
    {"amount": Decimal("-5.00")},
    {"currency": "usd"},
    {"merchant_id": "MER1234567"},
    {"merchant_name": ""},
    {"merchant_name": "x" * 101},
    {"merchant_category": "54a1"},
    {"transaction_type": "gift"},
    {"channel": "fax"},
    {"country": "XX"},
)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CheckOutcome]:
    """What is found in 20 clean rows and one row a defect. The run takes a second, so all defects share it."""
    rows = [
        *(transaction(number) for number in range(ROWS)),
        *(transaction(ROWS + number, **defect) for number, defect in enumerate(DEFECTS)),
    ]
    # The columns of the table, but all optional: the real one refuses a missing value at the door.
    columns = [
        field.with_nullable(True).remove_metadata() for field in iceberg_schema(tables.transactions()).as_arrow()
    ]
    with lake_in(tmp_path_factory.mktemp("planted")) as lake:
        table = lake.catalog.create_table(f"{names.NAMESPACE}.loose", pa.schema(columns))
        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
        return {outcome.name: outcome for outcome in _check(table) if not outcome.passed}


@pytest.mark.parametrize("beginning", EXPECTED)
def test_run_planted_defect_is_found_in_exactly_its_rows(planted: dict[str, CheckOutcome], beginning: str) -> None:
    assert [found.unexpected for name, found in planted.items() if name.startswith(beginning)] == [EXPECTED[beginning]]


def test_run_planted_defects_break_nothing_else(planted: dict[str, CheckOutcome]) -> None:
    assert len(planted) == len(EXPECTED)


def test_suite_every_expectation_is_broken_by_a_planted_defect() -> None:
    assert len(suite().expectations) == len(EXPECTED)


def test_run_offending_values_are_given_as_examples(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1), transaction(2, channel="fax"), transaction(3, channel="fax")])
    (found,) = [outcome for outcome in _check(lake.table(names.TRANSACTIONS)) if not outcome.passed]
    assert found.examples == ("fax",)


def test_run_expectation_that_cannot_be_evaluated_raises(lake: Lake) -> None:
    snapshot = lake.append(names.TRANSACTIONS, [transaction(1)])
    broken = ExpectationSuite(
        name="broken",
        expectations=[
            gxe.ExpectColumnValuesToNotBeNull(column="nowhere", meta={"name": "nowhere", "dimension": "validity"})
        ],
    )
    with pytest.raises(CheckError, match="nowhere"):
        run(broken, lake.table(names.TRANSACTIONS).metadata_location, snapshot)
