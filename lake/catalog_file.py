"""Tells whether the catalog's SQLite file, and others that a pipeline keeps, can be read. Needs no DuckDB."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from contracts import names, tables
from contracts.errors import TableDamaged

REPAIR = "To register the newest metadata files that can be read: pipeline repair"


def refuse_damaged_catalog(path: Path, warehouse: Path) -> None:
    """Raises TableDamaged if the SQLite file at `path` is none, or does not know a table that has rows in `warehouse`.

    A table that the catalog has lost would otherwise be made again, empty.
    """
    if is_no_database(path):
        raise TableDamaged(f"the catalog {path} is not a SQLite file any more. {REPAIR}")
    if lost := unknown_tables(path, warehouse):
        raise TableDamaged(
            f"the catalog {path} does not know the tables that are in {', '.join(map(str, lost))}. {REPAIR}"
        )


def unknown_tables(path: Path, warehouse: Path) -> tuple[Path, ...]:
    """Return the folders in `warehouse` of our tables that have snapshots and that the catalog does not know.

    Tables that were set aside count too. Raises TableDamaged if the catalog cannot be read.
    """
    written = {
        snapshots.parents[1]
        for table in tables.all_tables()
        for snapshots in warehouse.glob(f"{names.NAMESPACE}/{table.name}*/metadata/snap-*.avro")
    }
    known = {local_path(location).parents[1] for location in _locations(path)} if written else set()
    return tuple(sorted(written - known))


def local_path(location: str) -> Path:
    """Return the path that a location of Iceberg names, a `file:` URI or a path."""
    return Path(unquote(urlsplit(location).path))


def _locations(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        with closing(_open(path)) as catalog:
            if not has_tables(catalog):
                return ()
            return tuple(location for (location,) in catalog.execute("SELECT metadata_location FROM iceberg_tables"))
    except sqlite3.OperationalError:
        raise  # locked, or no right to open it, which says nothing of what is in it
    except sqlite3.DatabaseError as error:
        raise TableDamaged(f"the catalog {path} cannot be read: {error}. {REPAIR}") from error


def has_tables(catalog: sqlite3.Connection) -> bool:
    """Tell whether `catalog` has the table in which PyIceberg keeps where tables are."""
    return bool(catalog.execute("SELECT 1 FROM sqlite_master WHERE name = 'iceberg_tables'").fetchall())


def metadata_damaged(table: str, location: str, error: Exception) -> TableDamaged:
    """Return the error that names the metadata file of `table` at `location`, which cannot be read."""
    reason = str(error).strip().partition("\n")[0]
    words = f"the metadata file {location} of the table {table} cannot be read: {reason}. {REPAIR}"
    return TableDamaged(words, location=location)


def damaged_databases(folder: Path) -> Iterator[Path]:
    """Yield each file below `folder` that is called like a SQLite database (`.db`) and is none."""
    yield from (path for path in sorted(folder.rglob("*.db")) if is_no_database(path))


def is_no_database(path: Path) -> bool:
    """Tell whether the file at `path` has something in it that is no SQLite database. One that is not there has not.

    SQLite is asked, and the file opened in no other way: to close another handle of it gives up the locks by which
    other connections of this process are protected (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    if not path.exists():
        return False
    try:
        with closing(_open(path)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:  # locked, or no right to open it, which says nothing of what is in it
        return False
    except sqlite3.DatabaseError:
        return True
    return False


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=30)
