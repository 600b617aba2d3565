"""Asks every component of a running pipeline whether it does its work, not only whether its process lives."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import httpx
import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from operations.embedded.supervision import ProcessState
from pipeline_assets.lib.flink_rest import job_statuses, last_failure, taskmanagers

_SECONDS = 3.0
# A component that is not ready this many seconds after its process started is no longer starting.
_GRACE_SECONDS = 90


class Health(StrEnum):
    """How a component is."""

    HEALTHY = "healthy"
    STARTING = "starting"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Component:
    """One component: a process, or a Flink job (which has no process of its own).

    `memory_mb` is the proportional set size of the process and its children, in MiB, None where nobody asked for it;
    `up_seconds` counts from its start.
    """

    name: str
    health: Health
    detail: str
    pid: int | None = None
    up_seconds: int = 0
    memory_mb: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What a probe found."""

    health: Health
    detail: str


def examine(
    addresses: Addresses, processes: tuple[ProcessState, ...], *, memory: bool = False
) -> tuple[Component, ...]:
    """The health of every supervised process and of both jobs. Asks all at once; takes at most a few seconds."""
    with (
        httpx.Client(base_url=addresses.flink_rest_url, timeout=_SECONDS) as flink,
        httpx.Client(base_url=addresses.dagster_url, timeout=_SECONDS) as dagster,
    ):
        return judge(processes, flink, dagster, addresses.kafka_bootstrap_servers, memory=memory)


def judge(
    processes: tuple[ProcessState, ...],
    flink: httpx.Client,
    dagster: httpx.Client,
    kafka: str,
    *,
    memory: bool = False,
    seconds: float = _SECONDS,
) -> tuple[Component, ...]:
    """`examine` through given clients; `kafka` is the broker's address, which has `seconds` to answer."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        probes: dict[str, Callable[[], Verdict]] = {
            names.BROKER: lambda: _broker(kafka, seconds),
            names.JOBMANAGER: lambda: _jobmanager(flink),
            names.TASKMANAGER: lambda: _taskmanager(flink),
            names.CODE_SERVER: lambda: _code_location(dagster),
            names.DAEMON: lambda: _daemon(dagster),
            names.WEBSERVER: lambda: _webserver(dagster),
        }
        there = {process.name for process in processes}
        verdicts = {name: pool.submit(probe) for name, probe in probes.items() if name in there}
        jobs = pool.submit(_jobs, flink)
        components = [
            _component(process, verdicts[process.name].result() if process.name in verdicts else None, memory=memory)
            for process in sorted(processes, key=lambda process: names.COMPONENTS.index(process.name))
        ]
        keeper_up = next((process.up_seconds for process in processes if process.name == names.JOB_KEEPER), 0)
        return (*components, *(_impatient(job, keeper_up) for job in jobs.result()))


def _component(process: ProcessState, verdict: Verdict | None, *, memory: bool) -> Component:
    match process.state:
        case "RUNNING" | "STARTING" if verdict is not None:
            found = verdict
        case "RUNNING":
            found = Verdict(Health.HEALTHY, "running")
        case "STARTING" | "STOPPED" if not process.complaint:
            found = Verdict(Health.STARTING, "starting" if process.state == "STARTING" else "not started yet")
        case _:
            words = f": {process.complaint}" if process.complaint else ""
            found = Verdict(Health.UNHEALTHY, f"{process.state.lower()}{words}; see: pipeline logs {process.name}")
    size = _memory_mb(process.pid) if memory and process.pid else None
    component = Component(process.name, found.health, found.detail, process.pid, process.up_seconds, size)
    return _impatient(component, process.up_seconds)


def _impatient(component: Component, up_seconds: int) -> Component:
    late = component.health is Health.STARTING and up_seconds > _GRACE_SECONDS
    return replace(component, health=Health.UNHEALTHY) if late else component


def _memory_mb(pid: int) -> int | None:
    try:
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
        # Shared pages are divided among those who share them, so that the sum over processes is what they take.
        return sum(getattr(member.memory_full_info(), "pss", member.memory_info().rss) for member in family) // 2**20
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _broker(servers: str, seconds: float) -> Verdict:
    try:
        topics = AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=seconds).topics
    except KafkaException as error:
        return Verdict(Health.STARTING, f"does not answer yet ({error.args[0].name()})")
    missing = sorted(set(names.TOPICS) - set(topics))
    if missing:
        return Verdict(Health.STARTING, f"topics to come: {', '.join(missing)}")
    return Verdict(Health.HEALTHY, servers)


def _jobmanager(flink: httpx.Client) -> Verdict:
    try:
        taskmanagers(flink)
    except NotRunning:
        return Verdict(Health.STARTING, "does not answer yet")
    return Verdict(Health.HEALTHY, str(flink.base_url))


def _taskmanager(flink: httpx.Client) -> Verdict:
    try:
        count = taskmanagers(flink)
    except NotRunning:
        return Verdict(Health.STARTING, "waits for the JobManager")
    return Verdict(Health.HEALTHY, "registered") if count else Verdict(Health.STARTING, "not registered yet")


def _jobs(flink: httpx.Client) -> tuple[Component, ...]:
    try:
        found = {job.name: job for job in job_statuses(flink, names.JOBS)}
    except NotRunning:
        found = {}
    components = []
    for name in names.JOBS:
        job = found.get(name)
        if job is None or job.ended:
            components.append(Component(f"job {name}", Health.STARTING, "not submitted yet"))
            continue
        health, detail = Health.HEALTHY, f"checkpoint {job.checkpoint_id or '-'}, restarts {job.restarts or 0}"
        if not job.running:
            failure = _failure(flink, job.job_id)
            health = Health.UNHEALTHY if failure else Health.STARTING
            because = f": {failure}" if failure else ""
            detail = f"{job.state.lower()}, {job.running_tasks} of {job.tasks} tasks run{because}"
        components.append(Component(f"job {name}", health, detail, up_seconds=job.uptime_ms // 1000))
    return tuple(components)


def _failure(flink: httpx.Client, job_id: str) -> str | None:
    try:
        return last_failure(flink, job_id)
    except httpx.HTTPError:
        return None  # Flink knew the job a moment ago and is gone, or has forgotten it


def _webserver(dagster: httpx.Client) -> Verdict:
    try:
        dagster.get("/server_info").raise_for_status()
    except httpx.HTTPError:
        return Verdict(Health.STARTING, "does not answer yet")
    return Verdict(Health.HEALTHY, str(dagster.base_url))


_LOCATIONS = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


def _ask(dagster: httpx.Client, query: str) -> Any:  # GraphQL's answer has the shape of the query
    """The answer's data; None where Dagster does not answer, or cannot yet."""
    try:
        answer = dagster.post("/graphql", json={"query": query})
        answer.raise_for_status()
        return answer.json().get("data")
    except (httpx.HTTPError, ValueError):
        return None


def _code_location(dagster: httpx.Client) -> Verdict:
    data = _ask(dagster, _LOCATIONS)
    entries = data["workspaceOrError"].get("locationEntries", []) if data else []
    loaded = [entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"]
    if any(found and found["__typename"] == "RepositoryLocation" for found in loaded):
        return Verdict(Health.HEALTHY, "assets loaded")
    return Verdict(Health.STARTING, "assets not loaded yet")


def _daemon(dagster: httpx.Client) -> Verdict:
    data = _ask(dagster, _DAEMONS)
    daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"] if data else []
    late = sorted(daemon["daemonType"].lower() for daemon in daemons if daemon["required"] and not daemon["healthy"])
    if not daemons or late:
        return Verdict(Health.STARTING, f"no heartbeat yet: {', '.join(late)}" if late else "waits for the web server")
    return Verdict(Health.HEALTHY, f"{len(daemons)} loops beat")
