"""Looks whether files of the tables and of Dagster's history can be read: for the status, and before a start."""

from collections.abc import Mapping
from contextlib import suppress

from contracts.addresses import Addresses
from contracts.errors import NotRunning, TableDamaged
from contracts.settings import Settings
from lake.catalog_file import damaged_databases
from lake.examination import lost_files
from lake.locations import metadata_locations
from operations.health import Component, Health

NAME = "lake files"


def examine_files(addresses: Addresses) -> Component | None:
    """Return the line of the status: each file that the newest snapshots name is there, or which is not.

    None before the first tables.
    """
    try:
        lost = lost_files(metadata_locations(addresses), addresses.iceberg_warehouse)
    except TableDamaged as damage:
        return Component(NAME, Health.UNHEALTHY, str(damage))
    except NotRunning:
        return None
    if lost:
        return Component(NAME, Health.UNHEALTHY, _words(lost))
    return Component(NAME, Health.HEALTHY, "every file that the newest snapshots name is there")


def refuse_damage(settings: Settings) -> None:
    """Raises TableDamaged, naming the file and the way on, for what would let a start fail later and say less.

    A data file that is missing stops no start: what else there is can be read, and the status tells of it.
    """
    with suppress(NotRunning):  # no tables yet; or a database elsewhere, whose silence the start itself tells
        addresses = settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=1)
        lost_files(metadata_locations(addresses), addresses.iceberg_warehouse)
    for path in damaged_databases(settings.paths.dagster):
        raise TableDamaged(f"Dagster's {path} is not a SQLite file any more. To begin a new history: pipeline repair")


def _words(lost: Mapping[str, tuple[str, ...]]) -> str:
    each = (f"{len(paths):,} of {table}, as {paths[0]}" for table, paths in lost.items())
    return (
        f"data files are missing that the newest snapshots name: {'; '.join(each)}. Bring them back from a copy of the "
        "state folder; without one: pipeline reset --keep-tables"
    )
