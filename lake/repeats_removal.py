"""Removes rows that repeat an earlier one from a table, while a writer goes on appending.

Readers do not see them anyway (`lake/repeats.py`); other programs that read the table do, until they are removed.
"""

from collections.abc import Sequence
from datetime import datetime

from pyiceberg.expressions import And, BooleanExpression, EqualTo, Or
from pyiceberg.table import Table

from contracts import names, tables
from lake.duck import STORED, connect_to
from lake.repeats import Repeats, place_of, repeated_rows

# So many rows are named in one commit: every file's bounds are compared with each.
_MOST = 1_000


def remove_repeats(table: Table, definition: tables.Table, warehouse: str, *, dry_run: bool = False) -> Repeats:
    """Remove the repeated rows of `table` in commits of their own, marked as maintenance; each row's first one stays.

    A file that has one is written again without it, and is held in memory meanwhile. Raises CommitFailedException or
    ValidationException if a compaction has replaced a file meanwhile.
    """
    with connect_to({definition.name: table.metadata_location}, warehouse) as connection:
        found = connection.execute(repeated_rows(definition, f"{STORED}.{definition.name}")).fetchall()
    if not dry_run:
        for start in range(0, len(found), _MOST):
            rows = [_only(definition, place) for place in found[start : start + _MOST]]
            table.delete(_any(rows), snapshot_properties={names.MAINTENANCE_PROPERTY: "repeats"})
    return Repeats(len(found))


def _only(definition: tables.Table, place: tuple[datetime, int, int]) -> BooleanExpression:
    """Write the condition that the row at `place` alone meets."""
    stored_at, partition, offset = place
    values = (stored_at.isoformat(), partition, offset)
    conditions = (
        EqualTo(column, value)  # type: ignore[arg-type, call-arg]  # mypy's plugin of pydantic passes over its __init__
        for column, value in zip(place_of(definition), values, strict=True)
    )
    return And(*conditions)


def _any(conditions: Sequence[BooleanExpression]) -> BooleanExpression:
    """Join conditions as a balanced tree: PyIceberg's own is as deep as they are many, deeper than Python goes."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return Or(_any(conditions[:half]), _any(conditions[half:]))
