"""Topics and jobs are observed as they are; a part that does not answer is named and stops nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.errors import NotRunning
from pipeline_assets.graph import job_key, topic_key
from pipeline_assets.lib.flink_rest import JobStatus, job_statuses
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets, topic_offsets
from pipeline_assets.resources import FlinkResource, KafkaResource, resources
from pipeline_assets.sensors.stream_observations import stream_observations
from tests.lake_tables import Lake

TASKS = {"total": 5, "running": 4}
FLINK = {
    "/jobs/overview": {
        "jobs": [
            {
                "jid": "new",
                "name": "lakehouse",
                "state": "RUNNING",
                "start-time": 2000,
                "duration": 90_500,
                "tasks": TASKS,
            },
            {
                "jid": "old",
                "name": "lakehouse",
                "state": "CANCELED",
                "start-time": 1000,
                "duration": 100,
                "tasks": TASKS,
            },
            {"jid": "other", "name": "not ours", "state": "RUNNING", "start-time": 3000, "duration": 1, "tasks": TASKS},
        ]
    },
    "/jobs/new/checkpoints": {"latest": {"completed": {"id": 41}}, "counts": {"failed": 2}},
    "/jobs/new/metrics": [{"id": "numRestarts", "value": "3"}],
}


def _flink(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(answer))


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of librdkafka's mock broker; it lives as long as the producer that made it."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    (found,) = producer.list_topics(timeout=10).brokers.values()
    for number in range(7):
        producer.produce(names.ALERT_TOPIC, b"{}", partition=number % 2)
    assert producer.flush(10) == 0
    yield f"{found.host}:{found.port}"
    producer.flush(0)


def test_topic_offsets_existing_topic_gives_each_partition_and_leaves_out_missing_topics(broker: str) -> None:
    (found,) = topic_offsets(broker, (names.RAW_TOPIC, names.ALERT_TOPIC))
    assert found.topic == names.ALERT_TOPIC
    assert found.partitions[:2] == (PartitionOffsets(0, 0, 4), PartitionOffsets(1, 0, 3))
    assert (found.written, found.retained) == (7, 7)


def test_topic_offsets_records_past_retention_are_written_but_not_retained() -> None:
    topic = TopicOffsets("t", (PartitionOffsets(0, 10, 15), PartitionOffsets(1, 0, 2)))
    assert (topic.written, topic.retained) == (17, 7)


def test_topic_offsets_silent_broker_raises_with_its_address() -> None:
    with pytest.raises(NotRunning, match=r"127\.0\.0\.1:1"):
        topic_offsets("127.0.0.1:1", (names.RAW_TOPIC,), timeout=0.5)


def test_job_statuses_resubmitted_job_gives_the_newest() -> None:
    with _flink(lambda request: httpx.Response(200, json=FLINK[request.url.path])) as client:
        assert job_statuses(client, names.JOBS) == (
            JobStatus(
                "lakehouse", "new", "RUNNING", 90_500,
                checkpoint_id=41, checkpoints_failed=2, restarts=3, tasks=5, running_tasks=4,
            ),
        )  # fmt: skip


def test_job_statuses_job_without_checkpoint_or_metrics_yet_gives_none_for_them() -> None:
    early = {**FLINK, "/jobs/new/checkpoints": {"latest": {"completed": None}, "counts": {}}, "/jobs/new/metrics": []}
    with _flink(lambda request: httpx.Response(200, json=early[request.url.path])) as client:
        (status,) = job_statuses(client, names.JOBS)
    assert (status.checkpoint_id, status.checkpoints_failed, status.restarts) == (None, None, None)


@pytest.mark.parametrize(
    "response", [httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(200, json={"errors": []})]
)
def test_job_statuses_strange_answer_raises_with_the_address(response: httpx.Response) -> None:
    with _flink(lambda request: response) as client, pytest.raises(NotRunning, match=r"http://flink\.test"):
        job_statuses(client, names.JOBS)


class _Kafka(KafkaResource):
    def offsets(self) -> tuple[TopicOffsets, ...]:
        return (TopicOffsets(names.RAW_TOPIC, (PartitionOffsets(0, 5, 15),)),)


class _Flink(FlinkResource):
    def jobs(self) -> tuple[JobStatus, ...]:
        return (JobStatus(names.ALERTING_JOB, "a1", "RESTARTING", 1500, None, 0, 4, tasks=5, running_tasks=2),)


def _tick(**given: object) -> dg.SensorResult:
    result = stream_observations(dg.build_sensor_context(resources=given))
    assert isinstance(result, dg.SensorResult)
    return result


def _observed(result: dg.SensorResult) -> dict[dg.AssetKey, dict[str, object]]:
    return {
        event.asset_key: {name: value.value for name, value in event.metadata.items()}
        for event in result.asset_events
        if isinstance(event, dg.AssetObservation)
    }


def test_stream_observations_everything_answers_observes_topics_and_jobs() -> None:
    result = _tick(kafka=_Kafka(), flink=_Flink())
    observed = _observed(result)
    assert result.skip_reason is None
    assert (observed[topic_key(names.RAW_TOPIC)]["messages_written"]) == 15
    assert (observed[topic_key(names.RAW_TOPIC)]["messages_retained"]) == 10
    alerting = observed[job_key(names.ALERTING_JOB)]
    assert (alerting["state"], alerting["restarts"], alerting["uptime_s"]) == ("RESTARTING", 4, 1.5)
    assert observed[job_key(names.LAKEHOUSE_JOB)] == {"state": "UNKNOWN"}


def test_stream_observations_silent_flink_still_observes_topics_and_names_flink(lake: Lake) -> None:
    result = _tick(kafka=_Kafka(), flink=resources(str(lake.state))["flink"])
    assert list(_observed(result)) == [topic_key(names.RAW_TOPIC)]
    assert "Flink at http://127.0.0.1:1" in str(result.skip_reason)


def test_stream_observations_pipeline_never_started_observes_nothing_and_says_why(tmp_path: Path) -> None:
    given = resources(str(tmp_path / "nowhere"))
    result = _tick(kafka=given["kafka"], flink=given["flink"])
    assert not result.asset_events
    assert "pipeline up" in str(result.skip_reason)
