"""Observes what runs outside Dagster: the generator, how far the topics reach, and how the Flink jobs are doing.

The cursor holds how far each topic reached at the last look, from which its rate is counted.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from contracts import names
from contracts.errors import NotRunning
from pipeline_assets.graph import GENERATOR, job_key, topic_key
from pipeline_assets.lib.flink_rest import JobStatus
from pipeline_assets.lib.generator_health import GeneratorHealth
from pipeline_assets.lib.kafka_offsets import TopicOffsets
from pipeline_assets.lib.open_transactions import OpenTransaction
from pipeline_assets.resources import FlinkResource, GeneratorResource, KafkaResource

# What Flink has no word for: it does not know the job at all.
_UNKNOWN = "UNKNOWN"
# By topic: when it was looked at (seconds since the epoch), and the records ever written to it then.
_Reached = dict[str, tuple[float, int]]


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def stream_observations(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, flink: FlinkResource, generator: GeneratorResource
) -> dg.SensorResult:
    """Observes the generator, topics (offsets, rate, lag, open transactions), Flink jobs (state, checkpoint, restarts).

    A part that is silent is named in the tick.
    """
    now = datetime.now(UTC)
    reached = _decode(context.cursor)
    events: list[dg.AssetObservation] = []
    silent: list[str] = []
    try:
        if health := generator.health():
            events.append(_generator(health, now))
        topics = kafka.offsets()
        lags, opened = kafka.lags(topics), kafka.open_transactions(topics)
        for topic in topics:
            held = [each for each in opened if each.topic == topic.topic]
            events.append(_topic(topic, lags[topic.topic], _rate(topic, reached.get(topic.topic), now), held))
            reached[topic.topic] = (now.timestamp(), topic.written)
    except NotRunning as error:
        silent.append(str(error))
    try:
        known = {job.name: job for job in flink.jobs()}
        events += [_job(name, known.get(name)) for name in names.JOBS]
    except NotRunning as error:
        silent.append(str(error))
    return dg.SensorResult(asset_events=events, skip_reason="; ".join(silent) or None, cursor=json.dumps(reached))


def _decode(cursor: str | None) -> _Reached:
    return {topic: (float(at), int(written)) for topic, (at, written) in json.loads(cursor or "{}").items()}


def _rate(topic: TopicOffsets, before: tuple[float, int] | None, now: datetime) -> float | None:
    """Records a second since the last look; None at the first, and where the topic was made anew."""
    if before is None or topic.written < before[1] or now.timestamp() <= before[0]:
        return None
    return round((topic.written - before[1]) / (now.timestamp() - before[0]), 1)


def _observation(key: dg.AssetKey, **facts: Any) -> dg.AssetObservation:
    return dg.AssetObservation(key, metadata={name: value for name, value in facts.items() if value is not None})


def _generator(health: GeneratorHealth, now: datetime) -> dg.AssetObservation:
    return _observation(
        GENERATOR,
        circuit=health.state,
        sent=health.sent,
        acknowledged=health.ok,
        failed=health.failed,
        outcome_unknown=health.unknown,
        rate_per_second=health.rate_per_second,
        wanted_rate_per_second=health.wanted_rate_per_second,
        silent_s=round(health.silent_seconds(now), 1),
    )


def _topic(
    topic: TopicOffsets, lag: dict[str, int], rate: float | None, held: Sequence[OpenTransaction]
) -> dg.AssetObservation:
    rows = [
        dg.TableRecord({"partition": part.partition, "earliest offset": part.earliest, "end offset": part.end})
        for part in topic.partitions
    ]
    return _observation(
        topic_key(topic.topic),
        messages_written=topic.written,
        messages_retained=topic.retained,
        rate_per_second=rate,
        **{f"lag_of_{job}": records for job, records in lag.items()},
        open_transactions="; ".join(map(str, held)) or None,
        partitions=dg.MetadataValue.table(rows),
    )


def _job(name: str, job: JobStatus | None) -> dg.AssetObservation:
    if job is None:
        return _observation(job_key(name), state=_UNKNOWN)
    return _observation(
        job_key(name),
        state=job.state,
        job_id=job.job_id,
        uptime_s=job.uptime_ms / 1000,
        checkpoint_id=job.checkpoint_id,
        checkpoints_failed=job.checkpoints_failed,
        restarts=job.restarts,
    )
