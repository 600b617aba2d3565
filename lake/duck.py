"""DuckDB over the Iceberg tables: one view per table, pinned to the snapshot that was current when it was opened.

A view shows each row once. The rows as they are stored, repeated ones included, are in the schema `stored`.
Opening and locking down belongs here; what is asked, and how answers are printed, does not.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import duckdb

from contracts import names, tables
from contracts.errors import ConfigError, QueryError
from contracts.s3 import duckdb_secret, is_s3
from lake.damage import refuse_damaged_manifests
from lake.repeats import first_rows
from lake.sql import quote

# PyIceberg takes a second to import, which `pipeline trace` has not.
if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

# iceberg reads manifests through avro, so avro comes first.
_EXTENSIONS = ("avro", "iceberg")
# The extensions are files of pinned packages, as DuckDB itself is. To verify their signatures, which it does otherwise,
# it hashes 59 MB: 0.37 s of processor time for each database that is opened, against 0.002 s.
LOADS_UNVERIFIED: Mapping[str, str] = MappingProxyType({"allow_unsigned_extensions": "true"})
# Enough to sort a million transactions without spilling, and small beside the broker and Flink on one machine.
_MEMORY_LIMIT = "1GB"
NEWEST: Mapping[str, int | None] = MappingProxyType({})
# The schema of the rows as they are stored.
STORED = "stored"


@contextmanager
def connect(catalog: "Catalog", warehouse: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with a view for each table of the pipeline (also as `finance.<name>`).

    Times are in UTC. No file outside `warehouse` (a path, a file: URI or a bucket) can be opened, no extension loaded
    and no setting changed; files inside it could still be written, so run what a user typed through `select`.
    Raises ConfigError for a warehouse of another kind, pyiceberg's NoSuchTableError for a missing table.
    """
    locations = {table.name: catalog.load_table(table.identifier).metadata_location for table in tables.all_tables()}
    with connect_to(locations, warehouse) as connection:
        yield connection


@contextmanager
def connect_to(
    locations: Mapping[str, str], warehouse: str, *, snapshots: Mapping[str, int | None] = NEWEST
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same for the tables whose newest metadata files lie at `locations`, by name.

    A table named in `snapshots` is seen as of that one of its snapshots, empty for None. Raises TableDamaged.
    """
    folder = _folder(warehouse)
    with (
        tempfile.TemporaryDirectory(prefix="lake-duckdb-") as spill,
        duckdb.connect(
            ":memory:",
            config={
                **LOADS_UNVERIFIED,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                # SQL names tables, never variables of this program; looking for them also costs 0.2 s.
                "python_enable_replacements": False,
                "allow_unredacted_secrets": False,
                "allow_persistent_secrets": False,
                "memory_limit": _MEMORY_LIMIT,
                "temp_directory": spill,
            },
        ) as connection,
    ):
        load_iceberg(connection.execute, folder)
        for name, location in locations.items():
            refuse_damaged_manifests(connection, name, location, snapshots.get(name))
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_directories = [{quote(f'{folder}/')}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        connection.execute(f"CREATE SCHEMA {names.NAMESPACE}")
        for name, location in locations.items():
            rows = rows_at(location, snapshots[name]) if name in snapshots else iceberg_scan(location)
            create_views(connection.execute, name, rows)
            connection.execute(f"CREATE VIEW {names.NAMESPACE}.{name} AS FROM main.{name}")
        yield connection


def select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyConnection:
    """Runs one reading statement (SELECT, FROM, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN); rows are fetched from the result.

    Raises QueryError where `sql` is not SQL, is not exactly one statement, would change something, or fails.
    """
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise QueryError(f"expected one statement, found {len(statements)}. Run them one at a time")
        kind = statements[0].type
        # EXPLAIN ANALYZE carries out what it explains, a COPY into the warehouse included.
        carried_out = kind == duckdb.StatementType.EXPLAIN and re.search(r"\banalyze\b", sql, re.IGNORECASE)
        if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN) or carried_out:
            raise QueryError("only statements that read are allowed: SELECT, FROM, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN")
        return connection.execute(statements[0])
    except duckdb.Error as error:
        raise QueryError(f"{error}") from error


def load_iceberg(execute: Callable[[str], object], location: str) -> None:
    """Loads into a database, by way of the caller's `execute`, what reads the Iceberg tables at `location`.

    It is loaded from where the Python package is: nothing is downloaded, copied or written, so any number of
    processes can do it at once (an INSTALL would write into a folder of the user's home). The database is to be opened
    with `LOADS_UNVERIFIED`.
    """
    for name in (*_EXTENSIONS, *(("httpfs",) if is_s3(location) else ())):
        folder = resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}"
        execute(f"LOAD {quote(str(folder / f'{name}.duckdb_extension'))}")
    if is_s3(location):
        values = ", ".join(f"{name} {quote(value)}" for name, value in duckdb_secret().items())
        execute(f"CREATE SECRET warehouse (TYPE s3, {values})")


def create_views(execute: Callable[[str], object], name: str, rows: str) -> None:
    """Create, by way of the caller's `execute`, the views of a table whose rows are the relation `rows`."""
    execute(f"CREATE SCHEMA IF NOT EXISTS {STORED}")
    execute(f'CREATE VIEW {STORED}."{name}" AS FROM {rows}')
    execute(f'CREATE VIEW "{name}" AS FROM {first_rows(name, f"{STORED}.{name}")}')


def iceberg_scan(metadata_location: str) -> str:
    """Write SQL for the rows of the snapshot that is current in a metadata file, to follow FROM."""
    return f"iceberg_scan({quote(metadata_location)})"


def rows_at(metadata_location: str, snapshot_id: int | None) -> str:
    """Write SQL for the rows of the snapshot `snapshot_id`, to follow FROM; for none of them if that is None."""
    if snapshot_id is None:
        return f"(FROM {iceberg_scan(metadata_location)} WHERE false)"
    return f"iceberg_scan({quote(metadata_location)}, snapshot_from_id = {snapshot_id}::UBIGINT)"


def _folder(warehouse: str) -> str:
    """Where the tables lie, as DuckDB names it."""
    url = urlparse(warehouse)
    if is_s3(warehouse):
        return warehouse
    if url.scheme not in ("", "file"):
        raise ConfigError("ICEBERG_WAREHOUSE", f"a folder or an S3 bucket can be queried, not {warehouse!r}")
    return str(Path(unquote(url.path)).resolve())
