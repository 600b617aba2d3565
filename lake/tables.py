"""Makes the Iceberg tables of their definitions in `contracts/tables.py`, and adds columns that a table lacks.

Any other difference is refused: rows that are there would have to change.
"""

import re

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import (
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    MapType,
    NestedField,
    StringType,
    TimestamptzType,
)

from contracts import names, tables
from contracts.errors import ConfigError
from lake.set_aside import suffix_of_new_tables

_SIMPLE: dict[str, IcebergType] = {
    "string": StringType(),
    "int": IntegerType(),
    "long": LongType(),
    "timestamptz": TimestamptzType(),
}

PROPERTIES = {
    "format-version": "2",
    "write.format.default": "parquet",
    # zstd files were half the size of snappy ones; snappy saved 5 of 27 s per million rows (write path only).
    "write.parquet.compression-codec": "zstd",
    # Flink appends every few seconds. Under the default, `serializable`, each such append aborts a compaction
    # that is under way (13 of 14 were refused); the tables are append-only, so `snapshot` is as safe.
    "write.delete.isolation-level": "snapshot",
    "write.update.isolation-level": "snapshot",
    "write.merge.isolation-level": "snapshot",
    # One metadata file a commit: 17,280 a day at 5 s. Keep the last hundred.
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
    # Flink and maintenance commit to the same table: retry rather than fail the job.
    "commit.retry.num-retries": "20",
}


def iceberg_type(text: str, next_id: "FieldIds") -> IcebergType:
    """The Iceberg type that a column's `type` text names. Raises ConfigError for an unknown one."""
    if text in _SIMPLE:
        return _SIMPLE[text]
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", text):
        return DecimalType(int(decimal[1]), int(decimal[2]))
    if mapping := re.fullmatch(r"map<(\w+),(\w+)>", text):
        return MapType(
            key_id=next_id(),
            key_type=iceberg_type(mapping[1], next_id),
            value_id=next_id(),
            value_type=iceberg_type(mapping[2], next_id),
            value_required=False,
        )
    raise ConfigError("config/contracts", f"unknown column type {text!r}", path="x-type")


class FieldIds:
    """Counts Iceberg field ids, from 1: top-level columns first, as Iceberg itself numbers them."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def __call__(self) -> int:
        """The next id."""
        self.last += 1
        return self.last


def iceberg_schema(table: tables.Table) -> Schema:
    """The Iceberg schema of `table`."""
    nested = FieldIds(len(table.columns))
    return Schema(
        *(
            NestedField(
                number, column.name, iceberg_type(column.type, nested), required=not column.nullable, doc=column.doc
            )
            for number, column in enumerate(table.columns, start=1)
        )
    )


def partition_spec(table: tables.Table) -> PartitionSpec:
    """Partitioning of `table` by the UTC day of its time column."""
    source = next(number for number, column in enumerate(table.columns, 1) if column.name == table.partition_by)
    return PartitionSpec(
        PartitionField(source_id=source, field_id=1000, transform=DayTransform(), name=f"{table.partition_by}_day")
    )


def create_tables(catalog: Catalog) -> None:
    """Every table that is not there yet; a table that lacks nullable columns gets them, where its definition has them.

    Rows that are there have no value in a new column. A table that is partitioned otherwise is partitioned as its
    definition says from now on. Raises ConfigError for any other difference.
    """
    catalog.create_namespace_if_not_exists(names.NAMESPACE)
    suffix, warehouse = suffix_of_new_tables(catalog), catalog.properties.get("warehouse", "").rstrip("/")
    for table in tables.all_tables():
        schema = iceberg_schema(table)
        try:
            catalog.create_table(
                table.identifier,
                schema,
                location=f"{warehouse}/{names.NAMESPACE}/{table.name}{suffix}" if suffix else None,
                partition_spec=partition_spec(table),
                properties=PROPERTIES,
            )
        except TableAlreadyExistsError:
            existing = catalog.load_table(table.identifier)
            _evolve(existing, table, schema)
            _partition(existing, table)


def _evolve(existing: Table, table: tables.Table, wanted: Schema) -> None:
    found = {field.name: field for field in existing.schema().fields}
    for name in found:
        if name not in wanted.column_names:
            raise _refusal(table, name, f"is in the table ({_shape(found[name])}) and no longer in the contract")
    for field in wanted.fields:
        if field.name not in found and field.required:
            raise _refusal(
                table, field.name, f"is new and required ({_shape(field)}): rows that are there have no value"
            )
        if field.name in found and _shape(found[field.name]) != _shape(field):
            shapes = f"{_shape(found[field.name])} in the table and {_shape(field)} in the contract"
            raise _refusal(table, field.name, f"is {shapes}")
    kept = [field.name for field in wanted.fields if field.name in found]
    if moved := [now for was, now in zip(found, kept, strict=True) if was != now]:
        raise _refusal(table, moved[0], f"has moved: the table's order is {', '.join(found)}")
    if len(kept) == len(wanted.fields):
        return
    with existing.update_schema() as update:
        for before, field in zip((None, *wanted.fields), wanted.fields, strict=False):
            if field.name not in found:
                update.add_column(field.name, field.field_type, doc=field.doc)
                if before is None:
                    update.move_first(field.name)
                else:
                    update.move_after(field.name, before.name)


def _partition(existing: Table, table: tables.Table) -> None:
    """Partition what is written from now on as `table` says. Files that are there stay in the partitions they have."""
    wanted = f"{table.partition_by}_day"
    before = [field.name for field in existing.spec().fields]
    if before == [wanted]:
        return
    with existing.update_spec() as update:
        for name in before:
            update.remove_field(name)
        update.add_field(table.partition_by, DayTransform(), wanted)


def _shape(field: NestedField) -> str:
    """Type and presence in words, without the ids of nested fields."""
    kind = re.sub(r"\d+: ", "", str(field.field_type))
    return f"{kind}, {'required' if field.required else 'optional'}"


def _refusal(table: tables.Table, column: str, reason: str) -> ConfigError:
    return ConfigError(
        table.identifier,
        f"{reason}. Only optional columns can be added. Restore the contract, or start afresh with `pipeline reset`",
        path=column,
    )
