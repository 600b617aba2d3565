"""Topics and jobs are observed as they are; a part that does not answer is named and stops nothing."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from generator.health import Reading
from pipeline_assets.graph import GENERATOR, job_key, topic_key
from pipeline_assets.lib.flink_rest import JobStatus, job_statuses
from pipeline_assets.lib.generator_health import GeneratorHealth, read_health
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets, topic_offsets
from pipeline_assets.lib.open_transactions import OpenTransaction
from pipeline_assets.resources import FlinkResource, GeneratorResource, KafkaResource, resources
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
    (found,) = topic_offsets(KafkaAccess(broker), (names.RAW_TOPIC, names.ALERT_TOPIC))
    assert found.topic == names.ALERT_TOPIC
    assert found.partitions[:2] == (PartitionOffsets(0, 0, 4, 4), PartitionOffsets(1, 0, 3, 3))
    assert (found.written, found.retained) == (7, 7)


def test_topic_offsets_records_past_retention_are_written_but_not_retained() -> None:
    topic = TopicOffsets("t", (PartitionOffsets(0, 10, 15, 15), PartitionOffsets(1, 0, 2, 2)))
    assert (topic.written, topic.retained) == (17, 7)


def test_topic_offsets_silent_broker_raises_with_its_address() -> None:
    with pytest.raises(NotRunning, match=r"127\.0\.0\.1:1"):
        topic_offsets(KafkaAccess("127.0.0.1:1"), (names.RAW_TOPIC,), timeout=0.5)


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
        return (TopicOffsets(names.RAW_TOPIC, (PartitionOffsets(0, 5, 15, 15),)),)

    def lags(self, topics: Sequence[TopicOffsets]) -> dict[str, dict[str, int]]:
        return {topic.topic: {names.ALERTING_JOB: 3, names.LAKEHOUSE_JOB: 10} for topic in topics}

    def open_transactions(self, topics: Sequence[TopicOffsets]) -> tuple[OpenTransaction, ...]:
        return tuple(OpenTransaction(topic.topic, 0, 12, 8.4, 3, 1, "theirs", 60.0) for topic in topics)


class _Generator(GeneratorResource):
    def health(self) -> GeneratorHealth | None:
        return GeneratorHealth(
            at=datetime.now(UTC) - timedelta(seconds=20),
            state="open",
            sent=100,
            ok=90,
            failed=0,
            unknown=3,
            rate_per_second=9.5,
            wanted_rate_per_second=10,
        )


class _Flink(FlinkResource):
    def jobs(self) -> tuple[JobStatus, ...]:
        return (JobStatus(names.ALERTING_JOB, "a1", "RESTARTING", 1500, None, 0, 4, tasks=5, running_tasks=2),)


def _tick(cursor: str | None = None, **given: Any) -> dg.SensorResult:
    context = dg.build_sensor_context(cursor=cursor, resources={"generator": _Generator(), **given})
    result = stream_observations(context)
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
    assert (observed[topic_key(names.RAW_TOPIC)]["lag_of_alerting"]) == 3
    assert (observed[topic_key(names.RAW_TOPIC)]["lag_of_lakehouse"]) == 10
    assert observed[topic_key(names.RAW_TOPIC)]["open_transactions"] == (
        "at transactions.raw/0/12, of the producer 3 (transactional id theirs), open for 8 s"
    )
    generator = observed[GENERATOR]
    assert (generator["circuit"], generator["sent"], generator["acknowledged"]) == ("open", 100, 90)
    assert 20 <= float(str(generator["silent_s"])) < 30
    alerting = observed[job_key(names.ALERTING_JOB)]
    assert (alerting["state"], alerting["restarts"], alerting["uptime_s"]) == ("RESTARTING", 4, 1.5)
    assert observed[job_key(names.LAKEHOUSE_JOB)] == {"state": "UNKNOWN"}


def test_stream_observations_second_look_tells_the_rate_since_the_first() -> None:
    first = _tick(kafka=_Kafka(), flink=_Flink())
    assert "rate_per_second" not in _observed(first)[topic_key(names.RAW_TOPIC)]
    ten_seconds_ago = json.dumps({names.RAW_TOPIC: (datetime.now(UTC).timestamp() - 10, 5)})
    second = _observed(_tick(ten_seconds_ago, kafka=_Kafka(), flink=_Flink()))
    assert second[topic_key(names.RAW_TOPIC)]["rate_per_second"] == pytest.approx(1.0, abs=0.1)


def test_stream_observations_topic_made_anew_has_no_negative_rate() -> None:
    more_before = json.dumps({names.RAW_TOPIC: (datetime.now(UTC).timestamp() - 10, 500)})
    observed = _observed(_tick(more_before, kafka=_Kafka(), flink=_Flink()))
    assert "rate_per_second" not in observed[topic_key(names.RAW_TOPIC)]


def test_read_health_file_of_the_generator_is_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    assert read_health(path) is None
    now = datetime.now(UTC)
    written = Reading(now.isoformat(), "closed", now.isoformat(), 10, 8, 1, 0, 1, 9.5, 10.0, "", "")
    path.write_text(json.dumps(asdict(written)), encoding="utf-8")
    found = read_health(path)
    assert found is not None
    assert (found.sent, found.ok, found.state, found.silent_seconds(now)) == (10, 8, "closed", 0.0)
    path.write_text("{", encoding="utf-8")
    assert read_health(path) is None


def test_stream_observations_silent_flink_still_observes_topics_and_names_flink(lake: Lake) -> None:
    result = _tick(kafka=_Kafka(), flink=resources(str(lake.state))["flink"])
    assert list(_observed(result)) == [GENERATOR, topic_key(names.RAW_TOPIC)]
    assert "Flink at http://127.0.0.1:1" in str(result.skip_reason)


def test_stream_observations_pipeline_never_started_observes_nothing_and_says_why(tmp_path: Path) -> None:
    given = resources(str(tmp_path / "nowhere"))
    result = _tick(kafka=given["kafka"], flink=given["flink"], generator=given["generator"])
    assert not result.asset_events
    assert "pipeline up" in str(result.skip_reason)
