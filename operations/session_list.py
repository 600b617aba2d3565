"""The pipeline's sessions as `pipeline sessions` lists them; without PyIceberg, which takes a second to import."""

from typing import Any

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from lake.duck import connect_to
from lake.locations import metadata_locations


def newest(addresses: Addresses, limit: int) -> list[dict[str, Any]]:
    """The `limit` newest sessions, newest first, by column of `finance.sessions`; maps as mappings.

    Raises NotRunning before the first tables.
    """
    locations = metadata_locations(addresses)
    if names.SESSIONS not in locations:
        raise NotRunning("these tables are older than the sessions. Start the pipeline once: pipeline up")
    with connect_to(locations, addresses.iceberg_warehouse) as connection:
        answer = connection.execute(f"SELECT * FROM {names.SESSIONS} ORDER BY started_at DESC LIMIT ?", [limit])
        columns = [column[0] for column in answer.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]
