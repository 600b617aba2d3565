"""The status, as a monitoring system reads it; and that dashboard and alerts ask for nothing that is not there."""

import json
import re
import socket
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client import Metric

from contracts.paths import PROJECT
from contracts.settings import Settings
from generator.health import Reading
from operations.embedded.lifecycle import Pipeline
from operations.metrics import of_generator, of_status, serving
from operations.status import Disk, Status
from tests.unit.operations.test_screen import ADDRESSES, COMPONENTS, LAKE, TOPICS

READING = Reading(
    "2026-11-27T08:00:00+00:00", "open", "2026-11-27T07:59:00+00:00", 12, 7, 1, 2, 2, 9.5, 10.0, "no broker", ""
)
STATUS = Status(False, ADDRESSES, COMPONENTS, (), TOPICS, LAKE, Disk(300, 4_000))


def samples(*metrics: Metric) -> dict[str, float]:
    return {
        sample.name + "".join(f"[{value}]" for value in sample.labels.values()): sample.value
        for metric in metrics
        for sample in metric.samples
    }


def test_of_status_everything_there_is_in_base_units() -> None:
    found = samples(*of_status(STATUS))
    assert found["pipeline_healthy"] == 0
    assert (found["pipeline_component_healthy[kafka]"], found["pipeline_component_healthy[generator]"]) == (1, 0)
    assert found["pipeline_component_memory_bytes[kafka]"] == 410 * 2**20
    assert found["pipeline_topic_records_total[transactions.raw]"] == 1_234_570
    assert found["pipeline_topic_lag_records[transactions.raw][lakehouse]"] == 1_503
    assert found["pipeline_topic_held_back_seconds[transactions.raw]"] == 12.4
    assert found["pipeline_topic_held_back_seconds[alerts]"] == 0
    assert found["pipeline_table_bytes[transactions]"] == 98_765_432
    assert found["pipeline_alert_latency_seconds[0.99]"] == pytest.approx(1.204)
    assert found["pipeline_alerts_total[rapid-activity]"] == 1_010
    assert (found["pipeline_disk_used_bytes"], found["pipeline_disk_free_bytes"]) == (300, 4_000)


def test_of_status_what_is_not_known_is_no_zero() -> None:
    found = samples(*of_status(Status(False, ADDRESSES, COMPONENTS, (), (), None)))
    assert not [name for name in found if "table" in name or "latency" in name or "disk" in name]
    assert "pipeline_component_memory_bytes[job alerting]" not in found


def test_of_generator_tells_outcomes_and_circuit() -> None:
    found = samples(*of_generator(READING))
    assert found["generator_records_total[unknown]"] == 2
    assert (found["generator_circuit_closed"], found["generator_records_per_second"]) == (0, 9.5)


def test_serve_where_nothing_runs_says_that_it_is_down(tmp_path: Path) -> None:
    with serving(Pipeline(Settings(state=tmp_path)), 0, "127.0.0.1") as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert answer.status_code == 200
    assert "pipeline_up 0.0" in answer.text


def test_serve_on_a_port_that_is_taken_raises(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        taken = serving(Pipeline(Settings(state=tmp_path)), held.getsockname()[1], "127.0.0.1")
        with pytest.raises(OSError, match="in use"), taken:
            pass


@pytest.mark.parametrize("file", ["grafana/pipeline.json", "alerts.yml"])
def test_dashboard_and_alerts_ask_for_metrics_that_there_are(file: str) -> None:
    text = (PROJECT / "deploy" / file).read_text(encoding="utf-8")
    content = json.loads(text) if file.endswith("json") else yaml.safe_load(text)
    asked = set(re.findall(r"\b(?:pipeline|generator)_[a-z_]+\b", json.dumps(content)))
    families = (*of_status(STATUS), *of_generator(READING))
    known = {found.name + ("_total" if found.type == "counter" else "") for found in families} | {"pipeline_up"}
    assert asked
    assert asked <= known
