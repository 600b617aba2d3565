"""The line `lake offsets` of the status: whether the tables hold every record of the log once, and which log it is."""

import duckdb
from pyiceberg.catalog import Catalog

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.paths import StatePaths
from lake.log_identity import LogIdentity, recorded_identity
from lake.stored_offsets import committed
from operations.health import Component, Health
from operations.skips import Skip, passed, read_skips
from pipeline_assets.lib.kafka_offsets import recorded_offsets, topic_ids, topic_offsets
from pipeline_assets.lib.offset_agreement import Range, examine, read_settled, told, write_settled

NAME = "lake offsets"
_ALERTS_TWICE = f"""SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) FROM {names.ALERTS}"""


def compare_offsets(catalog: Catalog, addresses: Addresses, paths: StatePaths) -> Component:
    """Compare tables and log now."""
    identity = recorded_identity(catalog, names.RAW_TOPIC)
    if identity is None:
        return Component(NAME, Health.HEALTHY, "nothing stored yet")
    try:
        problems = _other_topics(catalog, addresses) or _disagreements(catalog, addresses, paths, identity)
    except NotRunning as silence:
        return Component(NAME, Health.HEALTHY, f"not compared: {silence}")
    except duckdb.IOException:  # maintenance removed a file while it was read; the next look finds another
        return Component(NAME, Health.HEALTHY, "not compared: maintenance is under way")
    if problems:
        more = "Which ones: pipeline trace; what to do: docs/operations.md"
        return Component(NAME, Health.UNHEALTHY, f"{'; '.join(problems)}. {more}")
    return Component(NAME, Health.HEALTHY, "every record once")


def _other_topics(catalog: Catalog, addresses: Addresses) -> list[str]:
    """Those topics that are others than the tables were filled from, in words. Raises NotRunning."""
    ids = topic_ids(addresses.kafka, (names.RAW_TOPIC, names.ALERT_TOPIC), timeout=3)
    problems = []
    for topic in (names.RAW_TOPIC, names.ALERT_TOPIC):
        was = recorded_identity(catalog, topic)
        if was is None or ids.get(topic) == was.topic_id:
            continue
        what = "is gone" if topic not in ids else "was deleted and made again: its offsets name other records now"
        problems.append(f"the topic {topic} {what}")
    return problems


def _skipped(skip: Skip | None, log_start: int) -> bool:
    """Whether a person has passed over all that was deleted before `log_start`."""
    return skip is not None and log_start <= skip.offset + 1


def _records_in(addresses: Addresses, skip: Skip | None, partition: int, gap: Range) -> frozenset[int] | None:
    """Those offsets of `gap` at which a record stands; none of what a person passed over after it had been deleted."""
    found = recorded_offsets(addresses.kafka, names.RAW_TOPIC, partition, *gap, timeout=3)
    return frozenset() if found is None and _skipped(skip, gap[1]) else found


def _disagreements(catalog: Catalog, addresses: Addresses, paths: StatePaths, identity: LogIdentity) -> list[str]:
    settled = read_settled(paths.settled_offsets)
    skips = passed(read_skips(paths.skips)).get(names.RAW_TOPIC, {})
    (log,) = topic_offsets(addresses.kafka, (names.RAW_TOPIC,), timeout=3)
    with committed(catalog, addresses) as (_, connection):
        found, now = examine(
            connection,
            identity.first_offsets,
            {part: 0 if _skipped(skips.get(part), start) else start for part, start in log.earliest.items()},
            settled,
            lambda part, gap: _records_in(addresses, skips.get(part), part, gap),
        )
        ((alerts_twice,),) = connection.execute(_ALERTS_TWICE).fetchall()
    if now != settled:
        write_settled(paths.settled_offsets, now)
    problems = [f"records of {names.RAW_TOPIC}: {told(found)}"] if found else []
    return problems + ([f"alerts stored twice: {alerts_twice:,}"] if alerts_twice else [])
