"""Makes tables known again whose catalog, or whose newest metadata file, cannot be read any more.

Each is registered with the newest metadata file that can be read. Commits after that one are lost to the table; their
data files are orphans then. Nothing is removed here: what was damaged is moved aside.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.serializers import FromInputFile

from contracts import names
from contracts.errors import TableDamaged
from lake.catalog_file import is_no_database, local_path, unknown_tables
from lake.set_aside import name_and_stamp, namespace_until

_VERSION = re.compile(r"(\d+)-.*\.metadata\.json")


def set_catalog_aside(path: Path, stamp: str) -> Path | None:
    """Move the file at `path` aside if it is no database; return where it is now, None if nothing was moved."""
    if not is_no_database(path):
        return None
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("-wal", "-shm", ""):  # the file itself last: until then it is found damaged again
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    return aside


def damaged_tables(catalog: Catalog, path: Path, warehouse: Path) -> tuple[Path, ...]:
    """Return the folders of tables that `catalog` (its file: `path`) does not know, or whose metadata is damaged."""
    return (*unknown_tables(path, warehouse), *(folder for _, folder in _unreadable(catalog)))


def register_again(catalog: Catalog, path: Path, warehouse: Path) -> Iterator[str]:
    """Register each of `damaged_tables`; yield what was done, a sentence each.

    Interrupted, it can be done again. Raises TableDamaged if a table has no metadata file that can be read.
    """
    for identifier, folder in _unreadable(catalog):
        newest = newest_readable(folder)
        catalog.drop_table(identifier)  # its row in the catalog alone
        catalog.register_table(identifier, f"file://{newest}")
        yield f"{'.'.join(identifier)} is registered with {newest}, the newest metadata file that can be read"
    for folder in unknown_tables(path, warehouse):
        newest = newest_readable(folder)
        table, namespace = _identity(folder)
        catalog.create_namespace_if_not_exists(namespace)
        catalog.register_table(f"{namespace}.{table}", f"file://{newest}")
        yield f"{namespace}.{table} is registered with {newest}"


def _identity(folder: Path) -> tuple[str, str]:
    """Return name and namespace of the table in `folder`: tables that others have followed were set aside."""
    table, stamp = name_and_stamp(folder.name)
    later = sorted(since for each in folder.parent.iterdir() if (since := name_and_stamp(each.name)[1]) > stamp)
    return table, namespace_until(later[0]) if later else names.NAMESPACE


def newest_readable(folder: Path) -> Path:
    """Return the newest metadata file that can be read of the table in `folder`. Raises TableDamaged without one."""
    files = [(int(found[1]), path) for path in folder.glob("metadata/*") if (found := _VERSION.fullmatch(path.name))]
    for _, path in sorted(files, key=lambda entry: (entry[0], entry[1].stat().st_mtime), reverse=True):
        try:
            FromInputFile.table_metadata(PyArrowFileIO().new_input(str(path)))
        except (ValueError, ValidationError, OSError):
            continue
        return path
    raise TableDamaged(
        f"none of {len(files)} metadata files in {folder} can be read. Bring back a copy of the state folder; without "
        "one: pipeline reset"
    )


def _unreadable(catalog: Catalog) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield identifier and folder of each table that is known and whose metadata file cannot be read."""
    for namespace in catalog.list_namespaces():
        for identifier in catalog.list_tables(namespace):
            try:
                catalog.load_table(identifier)
            except TableDamaged as damage:
                yield identifier, local_path(damage.location).parents[1]
