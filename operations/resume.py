"""Decides what the job `lakehouse` goes on from: its newest usable state, else what the tables hold.

It never begins at the offsets of Kafka's consumer group, which lag behind the tables, or at the first record while rows
are there: both would store rows a second time. `alerting` goes on from a checkpoint of its deployment or from where
that begins: see `rules/switch.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog
from pyiceberg.catalog import Catalog

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed
from contracts.settings import Settings
from lake.catalog import open_catalog
from lake.duck import connect
from lake.log_identity import LogIdentity, record_identity, recorded_identity
from lake.stored_offsets import committed, first_offsets, next_offsets, roll_back
from operations.contract_changes import contracts_have_grown
from pipeline_assets.lib.kafka_offsets import TopicOffsets, topic_ids, topic_offsets
from pipeline_assets.lib.skips import Skip, keep_skipped, passed, read_skips
from streaming.checkpoint_positions import positions_in
from streaming.checkpoints import RestorePoint, restore_points
from streaming.jobs.catalogue import job_plan

log = structlog.get_logger()

_JOB = names.LAKEHOUSE_JOB
TOPICS = (names.RAW_TOPIC, names.ALERT_TOPIC)
# Offsets by topic and partition.
Places = Mapping[str, Mapping[int, int]]
_WAYS_ON = (
    "Nothing was changed. To keep the tables and begin with empty ones beside them: pipeline reset --keep-tables; to "
    "remove everything: pipeline reset"
)


@dataclass(frozen=True)
class Start:
    """A start of the job: from the state `point`, or without state from `offsets`."""

    point: RestorePoint | None = None
    offsets: Places = field(default_factory=dict)


def lakehouse_start(addresses: Addresses, settings: Settings) -> Start:
    """Decide what the job goes on from, and take back rows of a checkpoint that only some tables have.

    No such job may be running. Raises ComponentFailed if the log is not the one that the tables were filled from or has
    lost records, and ConfigError for contracts that its state cannot follow; then nothing was changed. Raises
    NotRunning if the broker does not answer.
    """
    found = {topic.topic: topic for topic in topic_offsets(addresses.kafka, TOPICS)}
    skips = passed(read_skips(settings.paths.skips))
    with open_catalog(addresses) as catalog:
        first = {topic: verify_identity(catalog, addresses, topic, found.get(topic)) for topic in TOPICS}
        with connect(catalog, addresses.iceberg_warehouse) as connection:
            stored = {topic: next_offsets(connection, topic) for topic in TOPICS}
        for topic in TOPICS:
            refuse_shorter(found[topic], stored[topic])
        for point in _fitting(addresses, settings):
            if (places := _usable(point, stored, skips)) is not None:
                for topic in TOPICS:
                    refuse_shorter(found[topic], places[topic])
                    refuse_deleted(found[topic], first[topic] | dict(places[topic]))
                return Start(point)
        with committed(catalog, addresses) as (pinned, connection):
            reached = {topic: first[topic] | next_offsets(connection, topic) for topic in TOPICS}
        skipped = {
            topic: {part: max(offset, _after(skips, topic, part)) for part, offset in parts.items()}
            for topic, parts in reached.items()
        }
        refuse_deleted(found[names.RAW_TOPIC], skipped[names.RAW_TOPIC])
        if taken := roll_back(catalog, pinned):
            log.warning("rows of a checkpoint that only some tables have are taken back and read again", tables=taken)
        for topic, parts in reached.items():
            for part, offset in parts.items():
                if offset < skipped[topic][part]:
                    kept = keep_skipped(catalog, addresses.kafka, skips[topic][part], offset)
                    log.warning("records are passed over", position=f"{topic}/{part}/{offset}", kept=kept)
    # An alert that was sent twice is stored once, so the next one may stand further on than the last that is stored.
    alerts = {
        part: max(offset, found[names.ALERT_TOPIC].earliest.get(part, 0))
        for part, offset in skipped[names.ALERT_TOPIC].items()
    }
    return Start(offsets={**skipped, names.ALERT_TOPIC: alerts})


def _after(skips: Mapping[str, Mapping[int, Skip]], topic: str, partition: int) -> int:
    """Return the offset after the last record of the partition that was passed over, 0 if none was."""
    skip = skips.get(topic, {}).get(partition)
    return skip.offset + 1 if skip else 0


def verify_identity(catalog: Catalog, addresses: Addresses, topic: str, now: TopicOffsets | None) -> dict[int, int]:
    """Return the first offset of each partition of `topic` that the stream was to read; recorded if it was not yet.

    Raises ComponentFailed if the tables were filled from another topic of that name.
    """
    was = recorded_identity(catalog, topic)
    topic_id = topic_ids(addresses.kafka, (topic,)).get(topic)
    if now is None or topic_id is None:
        raise ComponentFailed(f"there is no topic {topic} at {addresses.kafka}. {_WAYS_ON}")
    if was is None:
        identity = LogIdentity(topic_id, _first_offsets(catalog, addresses, topic, now))
        record_identity(catalog, topic, identity)
        return dict(identity.first_offsets)
    if was.topic_id != topic_id:
        raise ComponentFailed(
            f"the topic {topic} is not the one that the tables were filled from (topic id {was.topic_id}, now "
            f"{topic_id}): it was deleted and made again. Its offsets begin at 0 a second time, and each would name "
            f"two records. {_WAYS_ON}"
        )
    return {part.partition: was.first_offsets.get(part.partition, 0) for part in now.partitions}


def _first_offsets(catalog: Catalog, addresses: Addresses, topic: str, now: TopicOffsets) -> dict[int, int]:
    """Return the first offset that an earlier version stored, by partition; else the first that Kafka has."""
    with connect(catalog, addresses.iceberg_warehouse) as connection:
        return {**now.earliest, **first_offsets(connection, topic)}


def refuse_shorter(topic: TopicOffsets, reached: Mapping[int, int]) -> None:
    """Raises ComponentFailed if a partition ends before an offset up to which it was read already."""
    for part in topic.partitions:
        if part.end < reached.get(part.partition, 0):
            raise ComponentFailed(
                f"partition {part.partition} of {topic.topic} ends at offset {part.end:,} and was read up to "
                f"{reached[part.partition]:,}: Kafka has lost records that it had taken (a power cut, an older copy "
                f"of its folder). New records would get their offsets a second time. {_WAYS_ON}"
            )


def refuse_deleted(topic: TopicOffsets, reached: Mapping[int, int]) -> None:
    """Raises ComponentFailed if Kafka has deleted records of `topic` after those that were read."""
    for part in topic.partitions:
        if part.earliest > reached.get(part.partition, 0):
            raise ComponentFailed(
                f"partition {part.partition} of {topic.topic} begins at offset {part.earliest:,}, and "
                f"{part.earliest - reached.get(part.partition, 0):,} records before it were deleted unread "
                "(kafka.retention_hours, kafka.retention_mb). To go on without them: "
                f"pipeline skip {topic.topic}/{part.partition}/{part.earliest - 1} --why REASON"
            )


def _fitting(addresses: Addresses, settings: Settings) -> tuple[RestorePoint, ...]:
    """Return the checkpoints of this plan, or of one whose contracts have only grown since, the newest first."""
    checkpoints = settings.paths.checkpoints
    fingerprint = job_plan(_JOB, addresses, settings).fingerprint
    return tuple(
        point
        for point in restore_points(checkpoints, _JOB)
        if point.fingerprint == fingerprint or contracts_have_grown(checkpoints, _JOB, point.fingerprint)
    )


def _usable(point: RestorePoint, stored: Places, skips: Mapping[str, Mapping[int, Skip]]) -> Places | None:
    """Return how far `point` has read; None if it is damaged, or has not read what is stored or passed over."""
    try:
        places = {topic: positions_in(point, topic) for topic in TOPICS}
    except ComponentFailed as damage:
        log.warning("a checkpoint is passed over", path=str(point.path), reason=str(damage))
        return None
    behind = {topic: {part: skip.offset + 1 for part, skip in parts.items()} for topic, parts in skips.items()}
    ahead = {
        f"{topic}/{part}": offset
        for known in (stored, behind)
        for topic, parts in known.items()
        for part, offset in parts.items()
        if offset > places[topic].get(part, 0)
    }
    if ahead:
        log.warning(
            "a checkpoint is passed over",
            path=str(point.path),
            reason=f"older than what is stored or passed over: {ahead}",
        )
        return None
    return places
