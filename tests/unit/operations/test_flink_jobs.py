"""The orderly end of the Flink jobs, over Flink's REST interface as given answers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.errors import NotRunning
from operations.flink_jobs import stop_jobs
from streaming.checkpoints import savepoint_folder


@dataclass
class Flink:
    """A Flink with these jobs: name and state, the number of looks until its savepoint is complete, its fingerprint."""

    jobs: dict[str, tuple[str, int, str]]
    asked: dict[str, Any] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.strip("/").split("/"):
            case ["jobs", "overview"]:
                return httpx.Response(200, json={"jobs": list(self._overview())})
            case ["jobs", _, "checkpoints"]:
                return httpx.Response(200, json={"latest": {}, "counts": {}})
            case ["jobs", _, "metrics"]:
                return httpx.Response(200, json=[])
            case ["jobs", job, "config"]:
                fingerprint = self.jobs[job][2]
                user = {"fingerprint": fingerprint} if fingerprint else {}
                return httpx.Response(200, json={"execution-config": {"user-config": user}})
            case ["jobs", job, "stop"]:
                self.asked[job] = json.loads(request.content)
                return httpx.Response(202, json={"request-id": f"request-{job}"})
            case ["jobs", job, "savepoints", request_id] if request_id == f"request-{job}":
                self.looks[job] = self.looks.get(job, 0) + 1
                done = self.looks[job] > self.jobs[job][1]
                return httpx.Response(200, json={"status": {"id": "COMPLETED" if done else "IN_PROGRESS"}})
            case _:
                return httpx.Response(404)

    def _overview(self) -> Iterator[dict[str, Any]]:
        for name, (state, _, _) in self.jobs.items():
            running = 2 if state == "RUNNING" else 0
            tasks = {"total": 2, "running": running}
            yield {"jid": name, "name": name, "state": state, "start-time": 1, "duration": 5, "tasks": tasks}


def test_stop_jobs_running_ones_end_with_a_savepoint_where_they_are_looked_for(tmp_path: Path) -> None:
    flink = Flink({"alerting": ("RUNNING", 0, "f1"), "lakehouse": ("RUNNING", 1, "f2")})
    checkpoints = tmp_path / "a b"
    with flink.client() as client:
        assert stop_jobs(client, checkpoints, seconds=5)
    folders = {job: asked["targetDirectory"] for job, asked in flink.asked.items()}
    assert folders == {
        "alerting": f"file://{savepoint_folder(checkpoints, 'alerting', 'f1')}",
        "lakehouse": f"file://{savepoint_folder(checkpoints, 'lakehouse', 'f2')}",
    }
    assert {asked["drain"] for asked in flink.asked.values()} == {False}  # draining would fire windows too early


def test_stop_jobs_time_runs_out_says_so(tmp_path: Path) -> None:
    with Flink({"alerting": ("RUNNING", 10**6, "f1")}).client() as client:
        assert not stop_jobs(client, tmp_path, seconds=0.3)


@pytest.mark.parametrize("state", ["RESTARTING", "FAILED", "CANCELED"])
def test_stop_jobs_job_that_does_not_run_is_left_to_its_checkpoint(tmp_path: Path, state: str) -> None:
    flink = Flink({"alerting": (state, 0, "f1")})
    with flink.client() as client:
        assert stop_jobs(client, tmp_path, seconds=1)
    assert flink.asked == {}


def test_stop_jobs_job_that_was_submitted_by_hand_is_left_alone(tmp_path: Path) -> None:
    flink = Flink({"alerting": ("RUNNING", 0, "")})
    with flink.client() as client:
        assert stop_jobs(client, tmp_path, seconds=1)
    assert flink.asked == {}


def test_stop_jobs_silent_flink_raises_not_running(tmp_path: Path) -> None:
    with httpx.Client(base_url="http://127.0.0.1:1") as client, pytest.raises(NotRunning):
        stop_jobs(client, tmp_path, seconds=1)
