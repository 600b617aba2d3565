"""Lag, how far each job is behind: one definition for the status, its metrics and Dagster's observations.

It counts the records that the job could read and that no checkpoint of it covers. What an open transaction holds back
cannot be read, and a transaction's marker is no record: a job that has read everything lags by nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from pipeline_assets.lib.kafka_offsets import Place, TopicOffsets, group_offsets, offsets_at, topic_offsets
from pipeline_assets.lib.kafka_records import Span, records_in

# So many records are counted one by one. More are counted by their offsets, a few markers among them.
_COUNTED = 500


def lags(kafka: KafkaAccess, topics: Sequence[TopicOffsets], *, timeout: float = 5.0) -> dict[str, dict[str, int]]:
    """Return by topic and by job that reads it how many records the job is behind.

    Raises NotRunning if the broker does not answer in time.
    """
    found: dict[str, dict[str, int]] = {topic.topic: {} for topic in topics}
    for job in names.JOBS:
        read = [topic for topic in topics if job in names.READERS[topic.topic]]
        counts = _behind(kafka, job, read, {topic.topic: topic.stable for topic in read}, timeout)
        for topic in read:
            found[topic.topic][job] = sum(count for (of, _), count in counts.items() if of == topic.topic)
    return found


def overdue(kafka: KafkaAccess, job: str, topic: str, before: datetime, *, timeout: float = 5.0) -> int:
    """Return how many of the records that `topic` got before that time (aware) `job` is behind.

    Raises NotRunning if the broker does not answer in time.
    """
    until = {topic: offsets_at(kafka, topic, before, timeout=timeout)}
    return sum(_behind(kafka, job, topic_offsets(kafka, (topic,), timeout=timeout), until, timeout).values())


def _behind(
    kafka: KafkaAccess,
    job: str,
    topics: Sequence[TopicOffsets],
    until: Mapping[str, Mapping[int, int]],
    timeout: float,
) -> dict[Place, int]:
    """Count by partition the records before `until` that no checkpoint of `job` covers."""
    places = [(topic.topic, partition) for topic in topics for partition in topic.earliest]
    committed = group_offsets(kafka, job, places, timeout=timeout)
    spans: dict[Place, Span] = {}
    for topic in topics:
        for partition, earliest in topic.earliest.items():
            place = topic.topic, partition
            begin, end = max(earliest, committed.get(place, 0)), until[topic.topic].get(partition, 0)
            if begin < end:
                spans[place] = begin, end
    if not spans:
        return {}
    try:
        found = records_in(kafka, spans, at_most=_COUNTED, timeout=timeout)
    except NotRunning:  # it answered a moment ago; a transaction of millions may have been given up
        return {place: end - begin for place, (begin, end) in spans.items()}
    return {place: _count(records, spans[place][1]) for place, records in found.items()}


def _count(records: frozenset[int], end: int) -> int:
    return len(records) if len(records) < _COUNTED else end - min(records)
