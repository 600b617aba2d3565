"""A Flink with given answers, and deployments under way in it: for tests of which job takes over from which."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts import names
from operations.rules.switch import Switch, want_what_is_configured
from streaming.deployments import Begin, Deployment
from streaming.rules.book import load_rules, rules_text
from streaming.running_jobs import running_jobs
from tests.config_copies import copy_of_config, replaced


@dataclass
class Flink:
    """A Flink whose jobs, by id, have read the raw topic up to these offsets by partition."""

    read: dict[str, dict[int, int]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.strip("/").split("/"):
            case ["jobs", "overview"]:
                return httpx.Response(200, json={"jobs": [self._job(job) for job in self.fingerprints]})
            case ["jobs", job, "config"]:
                user = {"fingerprint": self.fingerprints[job]} if self.fingerprints[job] else {}
                return httpx.Response(200, json={"execution-config": {"user-config": user}})
            case ["jobs", job] if request.method == "PATCH":
                self.cancelled.append(job)
                return httpx.Response(202)
            case ["jobs", _]:
                vertices = [{"id": "v1", "name": "Source: raw_transactions[1] -> Calc"}, {"id": "v2", "name": "Sink"}]
                return httpx.Response(200, json={"vertices": vertices})
            case ["jobs", job, "vertices", "v1", "metrics"]:
                scope = "0.Source__raw_transactions[1].KafkaSourceReader.topic.transactions_raw.partition"
                found = [
                    {"id": f"{scope}.{part}.currentOffset", "value": str(offset - 1)}
                    for part, offset in self.read[job].items()
                ]
                return httpx.Response(200, json=[*found, {"id": "0.numRecordsIn", "value": "7"}])
            case ["jobs", job, "stop"]:
                self.stopped.append(job)
                return httpx.Response(202, json={"request-id": "r"})
            case ["jobs", _, "savepoints", "r"]:
                return httpx.Response(200, json={"status": {"id": "COMPLETED"}})
            case _:
                raise AssertionError(f"not expected: {request.method} {request.url}")

    def _job(self, job: str) -> dict[str, Any]:
        tasks = {"total": 2, "running": 2}
        return {"jid": job, "name": names.ALERTING_JOB, "state": "RUNNING", "tasks": tasks}


def in_force(switch: Switch, flink: Flink) -> Deployment:
    """The first deployment, in force, its job `old` running."""
    want_what_is_configured(switch.settings, switch.addresses)
    (first,) = switch.lacking(())
    assert first.fingerprint
    flink.fingerprints["old"] = first.fingerprint
    switch.advance(running_jobs(switch.flink))
    found = switch.deployments.in_force()
    assert found is not None
    return found


def wanted(switch: Switch, flink: Flink, *, read_from: int = 90, judge_from: int = 100) -> Deployment:
    """A second deployment, its job `new` running."""
    second = switch.deployments.want(load_rules(), rules_text(), reason="a test", cold=False)
    switch.deployments.save(
        second.model_copy(update={"begin": Begin(read_from={0: read_from}, judge_from={0: judge_from})})
    )
    (second,) = switch.lacking(running_jobs(switch.flink))
    assert second.fingerprint
    flink.fingerprints["new"] = second.fingerprint
    return second


def changed_rules_are_wanted(switch: Switch, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Deployment:
    """Return what is wanted after the rule file has changed while the pipeline was down."""
    config = copy_of_config(folder)
    replaced(config / "alerting-rules.yaml", 'version: "1"', 'version: "2"')
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    want_what_is_configured(switch.settings, switch.addresses)
    due = switch.deployments.wanted()
    assert due is not None
    return due
