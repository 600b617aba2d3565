"""Sets the tables aside, so that others can be made in their place: they keep their files and get another namespace.

For a log that is not the one they were filled from any more: their rows stay true, but the positions in them do not
name records of the new log.
"""

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from contracts import names, tables

_PREFIX = f"{names.NAMESPACE}_until_"
_SINCE = "_since_"


def set_aside(catalog: Catalog, stamp: str) -> str:
    """Move every table to a namespace named after `stamp`; return the namespace. Done in part, it can be done again."""
    namespace = namespace_until(stamp)
    catalog.create_namespace_if_not_exists(namespace)
    for table in tables.all_tables():
        try:
            catalog.rename_table(table.identifier, f"{namespace}.{table.name}")
        except NoSuchTableError:
            continue  # moved before, or never made
    return namespace


def suffix_of_new_tables(catalog: Catalog) -> str:
    """Return what the folder of a new table is to end with: those that were set aside keep theirs."""
    names_ = sorted(space[0] for space in catalog.list_namespaces() if space[0].startswith(_PREFIX))
    return f"{_SINCE}{names_[-1].removeprefix(_PREFIX)}" if names_ else ""


def namespace_until(stamp: str) -> str:
    """Return the namespace of the tables that were set aside at `stamp`."""
    return f"{_PREFIX}{stamp}"


def name_and_stamp(folder: str) -> tuple[str, str]:
    """Return of the folder of a table its name, and the stamp since when it is written to; empty for the first."""
    name, _, stamp = folder.partition(_SINCE)
    return name, stamp
