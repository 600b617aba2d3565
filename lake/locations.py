"""Where the tables' newest metadata files lie, asked of the catalog's own table without PyIceberg.

Importing that takes a second, and whoever only reads with DuckDB needs nothing else of it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning

_SQLITE = "sqlite:///"


def metadata_locations(addresses: Addresses) -> dict[str, str]:
    """By table, its metadata file, all as of one moment. Raises NotRunning before the first tables."""
    uri = addresses.iceberg_catalog_uri
    if not uri.startswith(_SQLITE):
        return _by_catalog(addresses)
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    sql = "SELECT table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ?"
    found: dict[str, str] = {}
    if path.exists():
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            found = dict(connection.execute(sql, (addresses.iceberg_catalog_name, names.NAMESPACE)))
    if not found:
        raise NotRunning("there are no tables yet. Start the pipeline once: pipeline up")
    return found


def _by_catalog(addresses: Addresses) -> dict[str, str]:
    from contracts.tables import all_tables
    from lake.catalog import open_catalog

    with open_catalog(addresses) as catalog:
        return {table.name: catalog.load_table(table.identifier).metadata_location for table in all_tables()}
