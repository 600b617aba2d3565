"""The status as Prometheus metrics: what `pipeline status` shows, for a monitoring system to keep and to alert on.

One exporter asks all parts, as the status does, so that none of them opens a port of its own: Flink's reporter listens
on every network of the machine. `deploy/grafana/pipeline.json` is a dashboard of these metrics.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts.errors import NotRunning
from contracts.paths import StatePaths
from generator.circuit import State
from generator.health import Reading
from operations.embedded.lifecycle import Pipeline
from operations.health import Health
from operations.status import LakeStatus, Latency, Status, take_status

# Asked more often, the answer is the one before: a look takes a second or two of a core.
_FRESH_SECONDS = 5.0
_MIB = 1024 * 1024


@contextmanager
def serving(pipeline: Pipeline, port: int, host: str) -> Iterator[int]:
    """Serve the metrics of `pipeline` at http://host:port/metrics inside the block, from a thread; yield the port.

    `port` 0 takes any free one. Raises OSError for a port that is taken.
    """
    registry = CollectorRegistry()
    registry.register(_Exporter(pipeline))
    server, thread = start_http_server(port, addr=host, registry=registry)
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Exporter(Collector):
    """Looks at the pipeline when it is asked, but for the last look's answer while that is fresh."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lock = threading.Lock()
        self._metrics: tuple[Metric, ...] = ()
        self._looked_at = float("-inf")

    def describe(self) -> list[Metric]:
        """Nothing: a look at registration would be too early."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics now."""
        with self._lock:
            if time.monotonic() - self._looked_at > _FRESH_SECONDS:
                self._metrics = tuple(self._look())
                self._looked_at = time.monotonic()
            yield from self._metrics

    def _look(self) -> Iterator[Metric]:
        up = "Whether the pipeline runs, healthy or not."
        try:
            status = take_status(self._pipeline)
        except NotRunning:
            yield GaugeMetricFamily("pipeline_up", up, 0)
            return
        yield GaugeMetricFamily("pipeline_up", up, 1)
        yield from of_status(status)
        if reading := Reading.read(StatePaths(Path(status.addresses.pipeline_state)).generator_health):
            yield from of_generator(reading)


def of_status(status: Status) -> Iterator[Metric]:
    """Health, memory, lag, disk, and what the tables tell. Times in seconds, sizes in bytes."""
    yield GaugeMetricFamily("pipeline_healthy", "Whether every component is healthy.", float(status.healthy))
    yield _gauge(
        "pipeline_component_healthy", "Whether the component is healthy.", "component",
        {component.name: float(component.health is Health.HEALTHY) for component in status.components},
    )  # fmt: skip
    yield _gauge(
        "pipeline_component_memory_bytes", "Proportional set size of the component's processes.", "component",
        {found.name: found.memory_mb * _MIB for found in status.components if found.memory_mb is not None},
    )  # fmt: skip
    yield _gauge(
        "pipeline_component_uptime_seconds", "Since the component started.", "component",
        {component.name: component.up_seconds for component in status.components if component.up_seconds},
    )  # fmt: skip
    if status.disk:
        yield GaugeMetricFamily("pipeline_disk_used_bytes", "Of the state folder.", status.disk.used_bytes)
        yield GaugeMetricFamily("pipeline_disk_free_bytes", "On the state folder's disk.", status.disk.free_bytes)
    yield _counter(
        "pipeline_topic_records", "Offsets ever given in the topic, markers of transactions among them.", "topic",
        {topic.topic: topic.written for topic in status.topics},
    )  # fmt: skip
    lag = GaugeMetricFamily(
        "pipeline_topic_lag_records", "Records that no checkpoint of the job covers yet.", labels=["topic", "job"]
    )
    for topic in status.topics:
        for job, count in topic.lag.items():
            lag.add_metric([topic.topic, job], count)
    yield lag
    yield _gauge(
        "pipeline_topic_held_back_seconds", "Age of the oldest open transaction, which holds readers back.", "topic",
        {topic.topic: max((one.age_seconds for one in topic.open_transactions), default=0) for topic in status.topics},
    )  # fmt: skip
    if status.lake:
        yield from _of_lake(status.lake)


def _of_lake(lake: LakeStatus) -> Iterator[Metric]:
    yield _gauge("pipeline_table_rows", "Rows of the table.", "table", {one.table: one.rows for one in lake.tables})
    yield _gauge(
        "pipeline_table_files", "Data files of the table.", "table", {one.table: one.files for one in lake.tables}
    )
    yield _gauge(
        "pipeline_table_bytes", "Bytes of its data files.", "table", {one.table: one.bytes for one in lake.tables}
    )
    yield _gauge(
        "pipeline_table_commit_age_seconds", "Since the table's newest commit.", "table",
        {one.table: one.commit_age_seconds for one in lake.tables if one.commit_age_seconds is not None},
    )  # fmt: skip
    yield GaugeMetricFamily(
        "pipeline_transactions_per_second", "Valid transactions, over the last five minutes.", lake.rate
    )
    yield _latency("pipeline_alert_latency_seconds", "From the record in Kafka to its alert.", lake.alert_latency)
    yield _latency("pipeline_storage_latency_seconds", "From the record in Kafka to its row.", lake.storage_latency)
    yield _counter("pipeline_alerts", "Alerts stored.", "rule_id", lake.alerts_by_rule)
    yield _counter("pipeline_dead_letters", "Refused records stored.", "reason_code", lake.dead_letters_by_reason)


def of_generator(reading: Reading) -> Iterator[Metric]:
    """What the generator says of its run."""
    yield _counter(
        "generator_records", "Records of this run, by how their sending ended.", "outcome",
        {"ok": reading.ok, "failed": reading.failed, "unknown": reading.unknown},
    )  # fmt: skip
    yield GaugeMetricFamily("generator_records_under_way", "Records without an outcome yet.", reading.under_way)
    yield GaugeMetricFamily("generator_records_per_second", "Sent in the last 10 s.", reading.rate_per_second)
    yield GaugeMetricFamily(
        "generator_circuit_closed", "Whether the circuit before the broker is closed.", reading.state == State.CLOSED
    )


def _gauge(name: str, words: str, label: str, values: "dict[str, float] | dict[str, int]") -> Metric:
    family = GaugeMetricFamily(name, words, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _counter(name: str, words: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _latency(name: str, words: str, found: Latency) -> Metric:
    values = {"0.5": found.p50_ms, "0.95": found.p95_ms, "0.99": found.p99_ms}
    known = {quantile: value / 1000 for quantile, value in values.items() if value is not None}
    return _gauge(name, f"{words} Over the last five minutes.", "quantile", known)
