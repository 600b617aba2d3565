"""Reads every table whole, by DuckDB and by PyIceberg, and holds both to be of one mind."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from contracts.addresses import Addresses
from contracts.errors import TableDamaged
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.catalog_file import refuse_damaged_catalog
from lake.damage import refuse_damaged_manifests
from lake.duck import LOADS_UNVERIFIED, iceberg_scan, load_iceberg

Rows = tuple[str, ...]


def addresses_of(state: Path) -> Addresses:
    """Return the addresses of a pipeline in `state` at which nothing answers."""
    return Addresses.local(state=StatePaths(state), kafka_port=1, flink_rest_port=1, dagster_port=1)


@contextmanager
def opened(state: Path) -> Iterator[Catalog]:
    """Open the catalog in the state folder `state`."""
    with open_catalog(addresses_of(state)) as catalog:
        yield catalog


def rows_of(state: Path) -> Mapping[str, Rows]:
    """Return the rows of each table, in whichever namespace it is, sorted."""
    with opened(state) as catalog:
        known = [each for namespace in catalog.list_namespaces() for each in catalog.list_tables(namespace)]
        found = {identifier[-1]: catalog.load_table(identifier) for identifier in known}
        assert len(found) == len(known), "two tables of one name"
        by_iceberg = {name: _sorted(table.scan().to_arrow().to_pylist()) for name, table in found.items()}
        locations = {name: table.metadata_location for name, table in found.items()}
    assert {name: _by_duckdb(name, location) for name, location in locations.items()} == by_iceberg
    return by_iceberg


def rows_or_refusal(state: Path) -> Mapping[str, Rows] | str:
    """Return the rows of each table, or that reading is refused since there is damage."""
    try:
        refuse_damaged_catalog(StatePaths(state).catalog, StatePaths(state).warehouse)
        return rows_of(state)
    except TableDamaged:
        return "refused"


def _by_duckdb(name: str, location: str) -> Rows:
    connection = _duckdb()
    refuse_damaged_manifests(connection, name, location)
    return _sorted(connection.execute(f"FROM {iceberg_scan(location)}").to_arrow_table().to_pylist())


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    """Open a database for all reading of this process: that takes as long as the reading."""
    connection = duckdb.connect(":memory:", config=dict(LOADS_UNVERIFIED))
    load_iceberg(connection.execute, "")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _sorted(rows: list[dict[str, object]]) -> Rows:
    """Return `rows` as sorted text, each value as Python shows it, times in UTC."""
    return tuple(sorted(repr({name: _plain(value) for name, value in row.items()}) for row in rows))


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
