"""Examines the files of all tables: whether each one that the newest snapshots name is there."""

from collections.abc import Mapping

import duckdb

from lake.damage import lost_data_files
from lake.duck import LOADS_UNVERIFIED, load_iceberg


def lost_files(locations: Mapping[str, str], warehouse: str) -> Mapping[str, tuple[str, ...]]:
    """Return the data files that are named and not there, by table, for tables with metadata files at `locations`.

    Tables that lack none are left out. Files in a bucket are taken to be there. Raises TableDamaged for a metadata file
    or a manifest that cannot be read.
    """
    with duckdb.connect(":memory:", config=dict(LOADS_UNVERIFIED)) as connection:
        load_iceberg(connection.execute, warehouse)
        found = {table: lost_data_files(connection, table, location) for table, location in locations.items()}
    return {table: lost for table, lost in found.items() if lost}
