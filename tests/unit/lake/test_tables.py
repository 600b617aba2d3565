"""The Iceberg tables are what the definitions say, and a table that differs is refused rather than written to."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pyiceberg.types import DecimalType, MapType, StringType, TimestamptzType

from contracts import names, tables
from contracts.errors import ConfigError
from lake.catalog import open_catalog
from lake.duck import connect, select
from lake.tables import PROPERTIES, FieldIds, create_tables, iceberg_schema, iceberg_type, partition_spec
from tests.lake_tables import Lake, lake_in, transaction


@pytest.mark.parametrize("table", tables.all_tables(), ids=lambda table: table.name)
def test_iceberg_schema_has_every_column_with_its_doc_and_a_unique_id(table: tables.Table) -> None:
    schema = iceberg_schema(table)
    assert [(field.name, field.required, field.doc) for field in schema.fields] == [
        (column.name, not column.nullable, column.doc) for column in table.columns
    ]
    assert [field.field_id for field in schema.fields] == list(range(1, len(table.columns) + 1))
    assert len(schema.field_ids) == len(set(schema.field_ids))


def test_iceberg_type_of_every_word_is_the_type() -> None:
    ids = FieldIds(10)
    assert iceberg_type("string", ids) == StringType()
    assert iceberg_type("timestamptz", ids) == TimestamptzType()
    assert iceberg_type("decimal(14,2)", ids) == DecimalType(14, 2)
    evidence = iceberg_type("map<string,string>", ids)
    assert isinstance(evidence, MapType)
    assert (evidence.key_id, evidence.value_id, evidence.value_required) == (11, 12, False)


@pytest.mark.parametrize("text", ["float", "", "decimal(14)", "map<string>", "string "])
def test_iceberg_type_unknown_word_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="unknown column type"):
        iceberg_type(text, FieldIds())


@pytest.mark.parametrize("table", tables.all_tables(), ids=lambda table: table.name)
def test_partition_spec_is_the_day_of_the_time_column(table: tables.Table) -> None:
    (field,) = partition_spec(table).fields
    assert iceberg_schema(table).find_column_name(field.source_id) == table.partition_by
    assert (str(field.transform), field.name) == ("day", f"{table.partition_by}_day")


def test_create_tables_makes_all_of_them_with_their_properties(lake: Lake) -> None:
    assert {name for _, name in lake.catalog.list_tables(names.NAMESPACE)} == {
        "transactions", "dead_letters", "alerts", "commits", "sessions",
    }  # fmt: skip
    table = lake.table(names.TRANSACTIONS)
    assert table.format_version == 2
    assert {**table.properties, **PROPERTIES, "format-version": "2"} == {
        **table.properties,
        "format-version": "2",
    } | PROPERTIES
    assert table.schema().as_struct() == iceberg_schema(tables.transactions()).as_struct()


def test_create_tables_again_changes_nothing(lake: Lake) -> None:
    before = lake.table(names.TRANSACTIONS).metadata_location
    create_tables(lake.catalog)
    assert lake.table(names.TRANSACTIONS).metadata_location == before


def with_columns(monkeypatch: pytest.MonkeyPatch, *columns: tables.Column) -> None:
    """Makes `columns` the definition of the table of alerts."""
    changed = replace(tables.alerts(), columns=columns)
    monkeypatch.setattr(tables, "all_tables", lambda: (tables.transactions(), tables.dead_letters(), changed))


def test_create_tables_new_optional_columns_stand_where_the_definition_has_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = lake.table(names.ALERTS).schema()
    first, *others, last = tables.alerts().columns
    new = [replace(first, name=name, type=kind, nullable=True, doc=f"New {name}.") for name, kind in (
        ("a", "string"), ("b", "timestamptz"), ("c", "decimal(14,2)"), ("d", "map<string,string>"))]  # fmt: skip
    with_columns(monkeypatch, new[0], first, *others, new[1], new[2], last, new[3])
    create_tables(lake.catalog)
    after = lake.table(names.ALERTS).schema()
    assert after.column_names[:2] == ["a", first.name]
    assert [field.name for field in after.fields] == [
        "a", first.name, *(column.name for column in others), "b", "c", last.name, "d",
    ]  # fmt: skip
    assert {field.name: field.field_id for field in before.fields}.items() <= {
        field.name: field.field_id for field in after.fields
    }.items()
    assert [(field.required, field.doc) for field in after.fields if field.name in "abcd"] == [
        (False, f"New {name}.") for name in "abcd"
    ]
    location = lake.table(names.ALERTS).metadata_location
    create_tables(lake.catalog)
    assert lake.table(names.ALERTS).metadata_location == location


def test_create_tables_old_rows_have_no_value_in_a_new_column(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append(names.TRANSACTIONS, [transaction(1)])
    *former, last = tables.transactions().columns
    note = replace(last, name="note", type="string", nullable=True)
    changed = replace(tables.transactions(), columns=(*former, note, last))
    monkeypatch.setattr(tables, "all_tables", lambda: (changed, tables.dead_letters(), tables.alerts()))
    create_tables(lake.catalog)
    lake.append(names.TRANSACTIONS, [transaction(2, note="new")])
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        rows = select(connection, "SELECT note, transaction_id FROM transactions ORDER BY note").fetchall()
    assert [note for note, _ in rows] == ["new", None]


def test_create_tables_column_that_is_no_longer_defined_is_refused(lake: Lake) -> None:
    with lake.table(names.ALERTS).update_schema() as update:
        update.add_column("colour", StringType())
    refused = r"finance.alerts: colour: is in the table \(string, optional\) and no longer in the .*pipeline reset"
    with pytest.raises(ConfigError, match=refused):
        create_tables(lake.catalog)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "int"}, "severity: is string, required in the table and int, required in the contract"),
        ({"nullable": True}, "severity: is string, required in the table and string, optional in the contract"),
        ({"name": "grade"}, r"severity: is in the table \(string, required\) and no longer in the contract"),
    ],
)
def test_create_tables_changed_column_is_refused_with_both_shapes(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], reason: str
) -> None:
    columns = [
        replace(column, **change) if column.name == "severity" else column  # type: ignore[arg-type]
        for column in tables.alerts().columns
    ]
    with_columns(monkeypatch, *columns)
    with pytest.raises(ConfigError, match=f"finance.alerts: {reason}.*Restore the contract.*pipeline reset"):
        create_tables(lake.catalog)


def test_create_tables_new_required_column_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tables.alerts().columns[0]
    with_columns(monkeypatch, *tables.alerts().columns, replace(first, name="new"))
    with pytest.raises(ConfigError, match=r"finance.alerts: new: is new and required \(string, required\)"):
        create_tables(lake.catalog)


def test_create_tables_other_order_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *others = tables.alerts().columns
    with_columns(monkeypatch, second, first, *others)
    with pytest.raises(ConfigError, match="transaction_id: has moved: the table's order is alert_id, "):
        create_tables(lake.catalog)


def test_open_catalog_makes_a_file_that_readers_do_not_block(tmp_path: Path) -> None:
    with lake_in(tmp_path) as lake:
        path = tmp_path / "lake" / "catalog.db"
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        with open_catalog(lake.addresses) as again:
            assert len(again.list_tables(names.NAMESPACE)) == 5


def test_create_tables_state_folder_with_a_space_holds_its_warehouse(tmp_path: Path) -> None:
    with lake_in(tmp_path / "a b") as lake:
        lake.append(names.TRANSACTIONS, [transaction(1)])
        with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
            assert select(connection, "SELECT count(*) FROM transactions").fetchall() == [(1,)]
    assert [path.name for path in tmp_path.iterdir()] == ["a b"]


def test_table_identifier_is_namespace_and_name() -> None:
    assert replace(tables.alerts(), name="x").identifier == "finance.x"
