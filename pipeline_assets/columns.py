"""Column schemas for the web UI: projections of the contracts, of the table definitions and of a real Iceberg table."""

import dagster as dg
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from contracts import tables
from contracts.schema import ContractName, load_contract


def of_contract(name: ContractName) -> dg.TableSchema:
    """The fields of the messages in a topic, as they travel: JSON types, which are text almost everywhere."""
    return dg.TableSchema(
        [
            _column(field.name, field.json_type, field.nullable, field.description)
            for field in load_contract(name).fields
        ]
    )


def of_table(table: tables.Table) -> dg.TableSchema:
    """The columns that `table` is meant to have."""
    return dg.TableSchema([_column(c.name, c.type, c.nullable, c.doc) for c in table.columns])


def changed_schema(table: Table, definition: tables.Table) -> dg.TableSchema | None:
    """The columns that `table` really has, where they are not those of its definition, which its asset shows anyway.

    With every commit, each 5 s, they would be three quarters of Dagster's storage.
    """
    found = of_iceberg(table.schema())
    return found if _shape(found) != _shape(of_table(definition)) else None


def _shape(schema: dg.TableSchema) -> list[tuple[str, str, bool]]:
    return [(column.name, column.type.replace(" ", ""), column.constraints.nullable) for column in schema.columns]


def of_iceberg(schema: Schema) -> dg.TableSchema:
    """The columns that a table really has."""
    return dg.TableSchema(
        [_column(f.name, str(f.field_type), not f.required, f.doc or "") for f in schema.fields],
    )


def _column(name: str, kind: str, nullable: bool, description: str) -> dg.TableColumn:
    return dg.TableColumn(name, kind, description, dg.TableColumnConstraints(nullable=nullable))
