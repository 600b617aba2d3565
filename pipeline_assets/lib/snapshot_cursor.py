"""How far the history of each table has been told: the cursor of the snapshot sensor, as text and as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.errors import ConfigError


@dataclass(frozen=True)
class SnapshotCursor:
    """The id of the last snapshot read, by table name. A table that is not in it has not been read yet."""

    positions: Mapping[str, int]

    @classmethod
    def decode(cls, text: str | None) -> "SnapshotCursor":
        """From what `encode` wrote; None is the start of everything. Raises ConfigError for anything else."""
        if not text:
            return cls({})
        try:
            return cls({str(table): int(snapshot) for table, snapshot in json.loads(text).items()})
        except (ValueError, AttributeError, TypeError) as error:
            raise ConfigError(
                "cursor of the sensor iceberg_snapshots",
                f"not a JSON object of snapshot ids: {text!r}. Empty it in the web UI to report all retained snapshots",
            ) from error

    def encode(self) -> str:
        """As JSON. Ids are text in it: they exceed what JavaScript can count."""
        return json.dumps({table: str(snapshot) for table, snapshot in self.positions.items()}, sort_keys=True)

    def after(self, table: str) -> int | None:
        """The snapshot of `table` that was read last."""
        return self.positions.get(table)

    def advanced(self, table: str, snapshot_id: int) -> "SnapshotCursor":
        """The cursor after `snapshot_id` of `table` was read."""
        return SnapshotCursor({**self.positions, table: snapshot_id})
