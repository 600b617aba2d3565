"""Which offsets of a Kafka topic the tables hold, told from their rows, and how to go back to whole checkpoints.

A job that has lost its state goes on from here: `pin_committed` names the snapshots up to which no row is missing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue

from contracts import names, tables
from contracts.addresses import Addresses
from lake.duck import STORED, connect_to
from lake.pinning import Pinned, pin_committed
from lake.sql import quote

# In which tables the records of a topic are stored, and the columns of their partition and offset.
_HOLDS: Mapping[str, tuple[tables.Table, ...]] = {
    names.RAW_TOPIC: (tables.transactions(), tables.dead_letters()),
    names.ALERT_TOPIC: (tables.alerts(), tables.dead_letters()),
}


def positions_sql(topic: str) -> str:
    """Write SQL for the `part` and `place` of every row whose record is in `topic`."""

    def one(table: tables.Table) -> str:
        partition, offset = table.position
        of_topic = f" WHERE topic = {quote(topic)}" if any(c.name == "topic" for c in table.columns) else ""
        return f'SELECT "{partition}" AS part, "{offset}" AS place FROM {STORED}.{table.name}{of_topic}'

    return " UNION ALL ".join(one(table) for table in _HOLDS[topic])


def next_offsets(connection: duckdb.DuckDBPyConnection, topic: str) -> dict[int, int]:
    """Return by partition of `topic` the offset after the last one that is stored; none for one without rows."""
    rows = connection.execute(f"SELECT part, max(place) + 1 FROM ({positions_sql(topic)}) GROUP BY part")
    return dict(rows.fetchall())


def first_offsets(connection: duckdb.DuckDBPyConnection, topic: str) -> dict[int, int]:
    """Return by partition of `topic` the first offset that is stored; none for one without rows."""
    rows = connection.execute(f"SELECT part, min(place) FROM ({positions_sql(topic)}) GROUP BY part")
    return dict(rows.fetchall())


@contextmanager
def committed(
    catalog: Catalog, addresses: Addresses
) -> Iterator[tuple[Mapping[str, Pinned], "duckdb.DuckDBPyConnection"]]:
    """Open the tables at the snapshots up to which no row is missing; yields these and a connection to them."""
    pinned = pin_committed(catalog, tables.stream_tables())
    locations = {name: each.metadata_location for name, each in pinned.items()}
    snapshots = {name: each.snapshot_id for name, each in pinned.items()}
    with connect_to(locations, addresses.iceberg_warehouse, snapshots=snapshots) as connection:
        yield pinned, connection


def roll_back(catalog: Catalog, pinned: Mapping[str, Pinned]) -> tuple[str, ...]:
    """Take each table back to its snapshot in `pinned`; return the names of those that were beyond it.

    What is taken back are rows of a checkpoint that was committed to some of the tables only; they are read from Kafka
    again. No job may write meanwhile.
    """
    taken = []
    for table in tables.stream_tables():
        opened, wanted = catalog.load_table(table.identifier), pinned[table.name].snapshot_id
        current = opened.current_snapshot()
        if current is None or current.snapshot_id == wanted:
            continue
        properties = {names.MAINTENANCE_PROPERTY: "rollback"}
        if wanted is None:
            if not opened.scan().count():
                continue  # taken back before
            opened.delete(AlwaysTrue(), snapshot_properties=properties)
        else:
            opened.manage_snapshots().rollback_to_snapshot(wanted).commit()
        taken.append(table.name)
    return tuple(taken)
