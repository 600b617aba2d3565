"""Observes what runs outside Dagster: how far the topics reach, and how the Flink jobs are doing."""

import dagster as dg

from contracts import names
from contracts.errors import NotRunning
from pipeline_assets.graph import job_key, topic_key
from pipeline_assets.lib.flink_rest import JobStatus
from pipeline_assets.lib.kafka_offsets import TopicOffsets
from pipeline_assets.resources import FlinkResource, KafkaResource

# What Flink has no word for: it does not know the job at all.
_UNKNOWN = "UNKNOWN"


@dg.sensor(minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def stream_observations(kafka: KafkaResource, flink: FlinkResource) -> dg.SensorResult:
    """Observes topics (offsets) and Flink jobs (state, checkpoint, restarts). A silent part is named in the tick."""
    events: list[dg.AssetObservation] = []
    silent: list[str] = []
    try:
        events += [_topic(topic) for topic in kafka.offsets()]
    except NotRunning as error:
        silent.append(str(error))
    try:
        known = {job.name: job for job in flink.jobs()}
        events += [_job(name, known.get(name)) for name in names.JOBS]
    except NotRunning as error:
        silent.append(str(error))
    return dg.SensorResult(asset_events=events, skip_reason="; ".join(silent) or None)


def _topic(topic: TopicOffsets) -> dg.AssetObservation:
    rows = [
        dg.TableRecord({"partition": part.partition, "earliest offset": part.earliest, "end offset": part.end})
        for part in topic.partitions
    ]
    return dg.AssetObservation(
        topic_key(topic.topic),
        metadata={
            "messages_written": topic.written,
            "messages_retained": topic.retained,
            "partitions": dg.MetadataValue.table(rows),
        },
    )


def _job(name: str, job: JobStatus | None) -> dg.AssetObservation:
    if job is None:
        return dg.AssetObservation(job_key(name), metadata={"state": _UNKNOWN})
    metadata: dict[str, str | int | float | None] = {
        "state": job.state,
        "job_id": job.job_id,
        "uptime_s": job.uptime_ms / 1000,
        "checkpoint_id": job.checkpoint_id,
        "checkpoints_failed": job.checkpoints_failed,
        "restarts": job.restarts,
    }
    return dg.AssetObservation(
        job_key(name), metadata={key: value for key, value in metadata.items() if value is not None}
    )
