"""Which log the tables were filled from: the ids of the Kafka topics, and the first offset of each partition.

Rows carry partition and offset, which name a record only together with the topic they are of. A topic that is deleted
and made again has another id (KIP-516), and its offsets begin at 0 a second time. Kept as properties of the table that
the topic's records go to.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from contracts import names, tables

_TABLE_OF: Mapping[str, tables.Table] = {
    names.RAW_TOPIC: tables.transactions(),
    names.ALERT_TOPIC: tables.alerts(),
}
_TOPIC_ID, _FIRST_OFFSETS = "pipeline.topic-id", "pipeline.first-offsets"


@dataclass(frozen=True)
class LogIdentity:
    """A topic: the id that its broker gave it, and by partition the first offset that the stream was to read."""

    topic_id: str
    first_offsets: Mapping[int, int]


def recorded_identity(catalog: Catalog, topic: str) -> LogIdentity | None:
    """Return the identity of the topic that the tables were filled from; None if it was never recorded."""
    return identity_in(catalog.load_table(_TABLE_OF[topic].identifier))


def identity_in(table: Table) -> LogIdentity | None:
    """Return what the properties of `table` tell of its topic."""
    topic_id, first = table.properties.get(_TOPIC_ID), table.properties.get(_FIRST_OFFSETS)
    if topic_id is None or first is None:
        return None
    return LogIdentity(topic_id, {int(part): offset for part, offset in json.loads(first).items()})


def record_identity(catalog: Catalog, topic: str, identity: LogIdentity) -> None:
    """Record that the tables are filled from the topic of that identity. Raises CommitFailedException."""
    table = catalog.load_table(_TABLE_OF[topic].identifier)
    first = json.dumps({str(part): offset for part, offset in sorted(identity.first_offsets.items())})
    with table.transaction() as transaction:
        transaction.set_properties({_TOPIC_ID: identity.topic_id, _FIRST_OFFSETS: first})
