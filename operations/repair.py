"""Makes a state folder that was damaged while it was down usable again, as far as that loses nothing.

What cannot be read is moved aside and never removed: the catalog's file, Dagster's history, and the checkpoints of
`lakehouse` once a table has gone back to an earlier commit. The job then goes on from what the tables hold.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from contracts import names
from contracts.errors import ConfigError
from contracts.settings import Settings
from lake.catalog import open_catalog
from lake.catalog_file import damaged_databases
from lake.repair import damaged_tables, register_again, set_catalog_aside


def repair(settings: Settings) -> Iterator[str]:
    """Mend what can be mended; yield what was done, a sentence each, none if nothing was damaged.

    No process may run. Interrupted, it can be done again. Raises TableDamaged for what only a copy can bring back, and
    ConfigError for tables that are elsewhere.
    """
    if settings.lake.catalog or settings.lake.warehouse:
        raise ConfigError("lake", "the tables are kept elsewhere; bring back a backup of the database or of the bucket")
    paths, stamp = settings.paths, f"{datetime.now(UTC):%Y%m%dt%H%M%Sz}"
    if aside := set_catalog_aside(paths.catalog, stamp):
        yield f"the damaged catalog is kept as {aside}, and a new one is made"
    with open_catalog(settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=1)) as catalog:
        if damaged_tables(catalog, paths.catalog, paths.warehouse):
            # First, so that an interruption leaves no state for the job to go on from that is ahead of its tables.
            state = paths.checkpoints / names.LAKEHOUSE_JOB
            if state.exists():
                kept = state.with_name(f"{names.LAKEHOUSE_JOB}.until-{stamp}")
                state.replace(kept)
                yield f"lakehouse goes on from what the tables hold; its checkpoints are kept in {kept}"
            paths.settled_offsets.unlink(missing_ok=True)
        yield from register_again(catalog, paths.catalog, paths.warehouse)
    if next(damaged_databases(paths.dagster), None):
        kept = paths.dagster.with_name(f"{paths.dagster.name}.until-{stamp}")
        paths.dagster.replace(kept)
        yield f"Dagster begins a new history; the damaged one is kept in {kept}"
