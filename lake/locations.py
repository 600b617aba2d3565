"""Where the tables' newest metadata files lie, asked of the catalog's own table without PyIceberg.

Importing that takes a second, and whoever only reads with DuckDB needs nothing else of it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.postgres import is_postgres
from lake.catalog_file import has_tables, local_path, refuse_damaged_catalog

_SQLITE = "sqlite:///"
_SQL = "SELECT table_name, metadata_location FROM iceberg_tables WHERE catalog_name = {0} AND table_namespace = {0}"


def metadata_locations(addresses: Addresses) -> dict[str, str]:
    """By table, its metadata file, all as of one moment.

    Raises NotRunning before the first tables, and if the catalog's database does not answer; TableDamaged if its file
    cannot be read.
    """
    uri, wanted = addresses.iceberg_catalog_uri, (addresses.iceberg_catalog_name, names.NAMESPACE)
    found = _in_postgres(uri, wanted) if is_postgres(uri) else _in_sqlite(uri, wanted, addresses.iceberg_warehouse)
    if not {table.name for table in tables.stream_tables()} <= found.keys():
        raise NotRunning("there are no tables yet. Start the pipeline once: pipeline up")
    return found


def _in_sqlite(uri: str, wanted: tuple[str, str], warehouse: str) -> dict[str, str]:
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    refuse_damaged_catalog(path, local_path(warehouse))
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return dict(connection.execute(_SQL.format("?"), wanted)) if has_tables(connection) else {}


def _in_postgres(uri: str, wanted: tuple[str, str]) -> dict[str, str]:
    import psycopg2

    try:
        with closing(psycopg2.connect(uri, connect_timeout=10)) as connection, connection.cursor() as cursor:
            cursor.execute(_SQL.format("%s"), wanted)
            return dict(cursor.fetchall())
    except psycopg2.errors.UndefinedTable:
        return {}
    except psycopg2.OperationalError as error:
        raise NotRunning(f"the catalog at {uri} does not answer: {str(error).strip()}") from error
