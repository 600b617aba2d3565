"""The line `lake offsets` of the status: whether the tables hold every record of the log once, and which log it is."""

import duckdb
from pyiceberg.catalog import Catalog

from contracts.addresses import Addresses
from contracts.errors import NotRunning
from operations.health import Component, Health
from pipeline_assets.lib.offset_agreement import disagreements

NAME = "lake offsets"


def compare_offsets(catalog: Catalog, addresses: Addresses) -> Component:
    """Compare tables and log now."""
    try:
        problems = disagreements(catalog, addresses)
    except NotRunning as silence:
        return Component(NAME, Health.HEALTHY, f"not compared: {silence}")
    except duckdb.IOException:  # the next look finds other files
        return Component(NAME, Health.HEALTHY, "not compared: maintenance is under way")
    if problems:
        more = "Which ones: pipeline trace; what to do: docs/operations.md"
        return Component(NAME, Health.UNHEALTHY, f"{'; '.join(problems)}. {more}")
    return Component(NAME, Health.HEALTHY, "every record once")
