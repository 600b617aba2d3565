"""Rows that repeat an earlier one: readers do not see them, and maintenance removes them.

The job `lakehouse` drops an alert that it has seen within `flink.state_hours`. One that is sent again later, or after
the job has lost its state, is stored a second time. Which rows are one, the table's definition says (`Table.once`).
"""

from dataclasses import dataclass

from contracts import tables


@dataclass(frozen=True)
class Repeats:
    """Count of the rows that one call removed, or would remove, since they repeat an earlier one."""

    repeated_rows: int = 0


def first_rows(name: str, stored: str) -> str:
    """Write SQL for the rows of the table `name`, without those that repeat an earlier one; to follow FROM.

    `stored` is the relation that has all of them.
    """
    definition = next((table for table in tables.all_tables() if table.name == name and table.once), None)
    if definition is None:
        return stored
    return f"(FROM {stored} ANTI JOIN ({repeated_rows(definition, stored)}) USING ({_listed(definition)}))"


def repeated_rows(definition: tables.Table, stored: str) -> str:
    """Write SQL for the place of each row that repeats an earlier one: when it was stored, and its position in Kafka.

    Hashes are compared first: to compare the rows of each id costs ten times as much, and repeated ones are few. Rows
    that have one place are no repeats but a fault, which is to be seen.
    """
    place = _listed(definition)
    hashes = [f"hash({', '.join(columns)}) AS hash_{number}" for number, columns in enumerate(definition.once)]
    twice = " OR ".join(
        f"hash_{number} IN (SELECT hash_{number} FROM hashed GROUP BY ALL HAVING count(*) > 1)"
        for number in range(len(definition.once))
    )
    later = " OR ".join(
        f"row({place}) > min(row({place})) OVER (PARTITION BY {', '.join(columns)})" for columns in definition.once
    )
    compared = dict.fromkeys(column for columns in definition.once for column in columns)
    return (
        f"WITH hashed AS (SELECT {place}, {', '.join(compared)}, {', '.join(hashes)} FROM {stored}) "
        f"SELECT {place} FROM hashed WHERE {twice} QUALIFY {later}"
    )


def place_of(definition: tables.Table) -> tuple[str, str, str]:
    """Name the columns that tell a row from all others, and that order rows as they were stored."""
    return (definition.partition_by, *definition.position)


def _listed(definition: tables.Table) -> str:
    return ", ".join(place_of(definition))
