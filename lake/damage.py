"""Finds files of the tables that are missing or cut short, and names them before somebody stumbles over them.

DuckDB's Iceberg extension reads manifests in threads of its own, and one that it cannot read ends the whole process
(SIGABRT). So their sizes are compared with what the snapshot tells before DuckDB opens a table.
"""

import glob
import json
from collections.abc import Sequence
from typing import Any

import duckdb

from contracts.errors import TableDamaged
from contracts.s3 import is_s3
from lake.catalog_file import local_path, metadata_damaged

_RESTORE = "Bring the file back from a copy of the state folder; without one: pipeline reset --keep-tables"

Rows = Sequence[tuple[Any, ...]]


def refuse_damaged_manifests(
    connection: duckdb.DuckDBPyConnection, table: str, metadata_location: str, snapshot_id: int | None = None
) -> None:
    """Raises TableDamaged if what a metadata file leads to cannot be read: itself, a list of manifests, a manifest.

    Manifests of the snapshot `snapshot_id` (None: of the current one) are looked for and measured, not read. What is in
    a bucket is taken to be there.
    """
    if is_s3(metadata_location):
        return
    for path, length in _manifests(connection, table, metadata_location, snapshot_id):
        size = _size(path)
        if size != length:
            raise TableDamaged(
                f"{_missing_or_cut(path, size, length)}, which lists rows of the table {table}. {_RESTORE}"
            )


def lost_data_files(connection: duckdb.DuckDBPyConnection, table: str, metadata_location: str) -> tuple[str, ...]:
    """Return the data files that the current snapshot names and the folder of the table lacks.

    Raises TableDamaged as `refuse_damaged_manifests` does. Of a table in a bucket it finds none.
    """
    if is_s3(metadata_location):
        return ()
    refuse_damaged_manifests(connection, table, metadata_location)
    manifests = [path for path, _ in _manifests(connection, table, metadata_location, None)]
    named = _data_files(connection, table, manifests) if manifests else ()
    return tuple(path for (path,) in named if _size(path) is None)


def _manifests(
    connection: duckdb.DuckDBPyConnection, table: str, metadata_location: str, snapshot_id: int | None
) -> Rows:
    """Return path and length in bytes of each manifest of the snapshot `snapshot_id`, None for the current one."""
    metadata = _metadata(table, metadata_location)
    wanted = metadata.get("current-snapshot-id") if snapshot_id is None else snapshot_id
    listed = [each["manifest-list"] for each in metadata.get("snapshots", ()) if each["snapshot-id"] == wanted]
    return [entry for path in listed for entry in _entries(connection, table, path)]


def _metadata(table: str, location: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(local_path(location).read_bytes())
    except (OSError, ValueError) as error:
        raise metadata_damaged(table, location, error) from error
    return found


def _entries(connection: duckdb.DuckDBPyConnection, table: str, path: str) -> Rows:
    return _read(connection, table, "SELECT manifest_path, manifest_length FROM read_avro(?)", [path])


def _data_files(connection: duckdb.DuckDBPyConnection, table: str, manifests: Sequence[str]) -> Rows:
    # Status 2: removed by the snapshot that wrote the manifest.
    return _read(connection, table, "SELECT data_file.file_path FROM read_avro(?) WHERE status <> 2", manifests)


def _read(connection: duckdb.DuckDBPyConnection, table: str, sql: str, paths: Sequence[str]) -> Rows:
    try:
        # DuckDB takes a path for a pattern.
        return connection.execute(sql, [[glob.escape(path) for path in paths]]).fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        reason = str(error).strip().partition("\n")[0]
        what = paths[0] if len(paths) == 1 else f"one of {len(paths)} manifests"
        raise TableDamaged(f"{what} of the table {table} cannot be read: {reason}. {_RESTORE}") from error


def _size(path: str) -> int | None:
    """Return the bytes of a local file; None if there is none."""
    try:
        return local_path(path).stat().st_size
    except FileNotFoundError:
        return None


def _missing_or_cut(path: str, size: int | None, length: int) -> str:
    return (
        f"the manifest {path} is missing" if size is None else f"the manifest {path} has {size:,} of {length:,} bytes"
    )
