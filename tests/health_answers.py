"""What Flink and Dagster answer to those who ask for their health, and what the supervisor says of processes."""

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from contracts import names
from contracts.kafka_access import KafkaAccess
from operations.embedded.obituaries import ALIVE, Obituary
from operations.embedded.supervision import ProcessState
from operations.health import Component, Health, judge

NOBODY = "127.0.0.1:1"
ALL = tuple(name for name in names.COMPONENTS if name != names.GENERATOR)
JOB = {"jid": "j1", "name": "alerting", "state": "RUNNING", "start-time": 1, "duration": 61_000}


def process(
    name: str, *, state: str = "RUNNING", up_seconds: int = 10, complaint: str = "", deaths: int = 0, words: str = ""
) -> ProcessState:
    dead = Obituary(deaths, "exit status 1") if deaths else ALIVE
    return ProcessState(name, state, 4711 if state == "RUNNING" else None, up_seconds, complaint, dead, words)


@dataclass
class World:
    """What Flink and Dagster answer; None: nobody is there."""

    flink: dict[str, Any] | None = field(default_factory=dict)
    dagster: dict[str, Any] | None = field(default_factory=dict)

    state: Path = Path("/nowhere")

    def judge(
        self, *processes: ProcessState, kafka: str = NOBODY, elsewhere: Collection[str] = ()
    ) -> dict[str, Component]:
        with self._client(self.flink) as flink, self._client(self.dagster, self._graphql) as dagster:
            found = judge(processes, flink, dagster, KafkaAccess(kafka), self.state, elsewhere=elsewhere, seconds=0.2)
            return {component.name: component for component in found}

    @staticmethod
    def _client(
        answers: dict[str, Any] | None, special: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
    ) -> httpx.Client:
        def answer(request: httpx.Request) -> httpx.Response:
            if answers is None:
                raise httpx.ConnectError("refused")
            if found := special(request):
                return found
            path = request.url.path
            return httpx.Response(200, json=answers[path]) if path in answers else httpx.Response(404)

        return httpx.Client(base_url="http://answers.test", transport=httpx.MockTransport(answer))

    def _graphql(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path != "/graphql" or self.dagster is None:
            return None
        found = self.dagster["locations" if b"locationEntries" in request.content else "daemons"]
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json={"data": found})


def flink(
    *jobs: dict[str, Any],
    taskmanagers: Iterable[str] = names.TASKMANAGERS.values(),
    failures: tuple[str, ...] = (),
    failed_seconds_ago: float = 1,
) -> dict[str, Any]:
    at = int((time.time() - failed_seconds_ago) * 1000)
    answers: dict[str, Any] = {
        "/taskmanagers": {"taskmanagers": [{"id": name} for name in taskmanagers]},
        "/jobs/overview": {"jobs": [{"tasks": {"total": 3, "running": 3}, **job} for job in jobs]},
    }
    for job in jobs:
        of = f"/jobs/{job['jid']}"
        answers[f"{of}/checkpoints"] = {"latest": {"completed": {"id": 7}}, "counts": {"failed": 0}}
        answers[f"{of}/metrics"] = [{"id": "numRestarts", "value": "2"}]
        answers[f"{of}/exceptions"] = {
            "exceptionHistory": {
                "entries": [
                    {"stacktrace": text, "timestamp": at - number * 20_000} for number, text in enumerate(failures)
                ]
            }
        }
    return answers


def dagster(*, loaded: bool = True, late: tuple[str, ...] = ()) -> dict[str, Any]:
    location = {"__typename": "RepositoryLocation" if loaded else "PythonError"}
    beats = [{"daemonType": name, "required": True, "healthy": name not in late} for name in ("SENSOR", "SCHEDULER")]
    return {
        "/server_info": {},
        "locations": {
            "workspaceOrError": {"locationEntries": [{"loadStatus": "LOADED", "locationOrLoadError": location}]}
        },
        "daemons": {"instance": {"daemonHealth": {"allDaemonStatuses": beats}}},
    }


def verdict(component: Component) -> tuple[Health, str]:
    return component.health, component.detail
