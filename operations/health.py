"""Asks every component of a running pipeline whether it does its work, not only whether its process lives."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from contracts.paths import StatePaths
from contracts.rest import rest_client
from generator.circuit import State
from generator.health import Reading
from operations.embedded.supervision import ProcessState
from operations.failing_record import tell_failing_record
from operations.memory import memory_mb
from operations.refusals import read_refusal
from pipeline_assets.lib.flink_rest import JobFailure, JobStatus, failures, job_statuses, taskmanagers

_SECONDS = 3.0
# A component that is not ready this many seconds after its process started is no longer starting.
_GRACE_SECONDS = 90
# A process that ended so often, or a job that failed so often with the same cause, will not mend by itself...
_DEATHS, _FAILURES = 5, 3
_FAILURE_SPAN = timedelta(minutes=10)
# ...until it has run for so long: longer than the longest wait between two restarts of a job.
_MENDED_SECONDS = 30
# The generator writes of itself once a second.
_SILENT_SECONDS = 15


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
    addresses: Addresses,
    processes: tuple[ProcessState, ...],
    *,
    elsewhere: Collection[str] = (),
    memory: bool = False,
) -> tuple[Component, ...]:
    """The health of every supervised process, of the components `elsewhere` and of both jobs.

    Asks all at once; takes at most a few seconds.
    """
    with (
        rest_client(addresses.flink_rest_url, timeout=_SECONDS) as flink,
        rest_client(addresses.dagster_url, timeout=_SECONDS) as dagster,
    ):
        state = Path(addresses.pipeline_state)
        return judge(processes, flink, dagster, addresses.kafka, state, elsewhere=elsewhere, memory=memory)


def judge(
    processes: tuple[ProcessState, ...],
    flink: httpx.Client,
    dagster: httpx.Client,
    kafka: KafkaAccess,
    state: Path,
    *,
    elsewhere: Collection[str] = (),
    memory: bool = False,
    seconds: float = _SECONDS,
) -> tuple[Component, ...]:
    """`examine` through given clients; `kafka` is the broker, which has `seconds` to answer, and `state` the folder in
    which the generator tells of itself, and in which it is written why a job is not started.
    """
    word = StatePaths(state).generator_health
    up_of = {process.name: process.up_seconds for process in processes}
    with ThreadPoolExecutor(max_workers=8) as pool:
        probes: dict[str, Callable[[], Verdict]] = {
            names.BROKER: lambda: _broker(kafka, seconds),
            names.JOBMANAGER: lambda: _jobmanager(flink),
            names.CODE_SERVER: lambda: _code_location(dagster),
            names.DAEMON: lambda: _daemon(dagster),
            names.WEBSERVER: lambda: _webserver(dagster),
            names.GENERATOR: lambda: _generator(word, up_of.get(names.GENERATOR), datetime.now(UTC)),
            **{name: partial(_taskmanager, flink, name) for name in names.TASKMANAGERS.values()},
        }
        by_name = {process.name: process for process in processes}
        there = [name for name in names.COMPONENTS if name in by_name or name in elsewhere]
        verdicts = {name: pool.submit(probe) for name, probe in probes.items() if name in there}
        jobs = pool.submit(_jobs, flink, kafka, state)
        found = {name: verdict.result() for name, verdict in verdicts.items()}
        components = [
            _component(by_name[name], found.get(name), memory=memory)
            if name in by_name
            else Component(name, found[name].health, found[name].detail)
            for name in there
        ]
        return (*components, *(_impatient(job, up_of.get(names.JOB_KEEPER, 0)) for job in jobs.result()))


def _component(process: ProcessState, verdict: Verdict | None, *, memory: bool) -> Component:
    dying = process.obituary.deaths >= _DEATHS and process.up_seconds < _MENDED_SECONDS
    match process.state:
        case "FATAL" | "BACKOFF" if process.obituary.deaths:
            found = Verdict(Health.UNHEALTHY, _epitaph(process))
        case "RUNNING" | "STARTING" | "EXITED" if dying:
            found = Verdict(Health.UNHEALTHY, _epitaph(process))
        case "RUNNING" | "STARTING" if verdict is not None:
            found = verdict
        case "RUNNING":
            found = Verdict(Health.HEALTHY, "running")
        case "STARTING" | "STOPPED" if not process.complaint:
            found = Verdict(Health.STARTING, "starting" if process.state == "STARTING" else "not started yet")
        case _:
            words = f": {process.complaint}" if process.complaint else ""
            found = Verdict(Health.UNHEALTHY, f"{process.state.lower()}{words}; see: pipeline logs {process.name}")
    size = memory_mb(process.pid) if memory and process.pid else None
    component = Component(process.name, found.health, found.detail, process.pid, process.up_seconds, size)
    return _impatient(component, process.up_seconds)


def _epitaph(process: ProcessState) -> str:
    """What happens to a process that ends again and again, and what is to be done."""
    name, deaths = process.name, process.obituary.deaths
    ends = f"ended {deaths} times ({process.obituary.how})" if deaths > 1 else f"ended ({process.obituary.how})"
    words = f", saying: {process.last_words.rstrip('.')}" if process.last_words else ""
    if process.state == "FATAL":
        return f"given up: it {ends}{words}. Mend that, then start it again: pipeline up; more: pipeline logs {name}"
    return f"{ends}{words}. It is started again and again; to see why: pipeline logs {name}"


def _impatient(component: Component, up_seconds: int) -> Component:
    late = component.health is Health.STARTING and up_seconds > _GRACE_SECONDS
    return replace(component, health=Health.UNHEALTHY) if late else component


def _broker(kafka: KafkaAccess, seconds: float) -> Verdict:
    try:
        topics = AdminClient({**kafka.librdkafka(), "log_level": 0}).list_topics(timeout=seconds).topics
    except KafkaException as error:
        return Verdict(Health.STARTING, f"does not answer yet ({error.args[0].name()})")
    missing = sorted(set(names.TOPICS) - set(topics))
    if missing:
        return Verdict(Health.STARTING, f"topics to come: {', '.join(missing)}")
    return Verdict(Health.HEALTHY, str(kafka))


def _generator(word: Path, up_seconds: int | None, now: datetime) -> Verdict:
    reading = Reading.read(word)
    age = (now - reading.moment).total_seconds() if reading else float("inf")
    # Rounding apart, what is older than the process is the word of the one before.
    if reading is None or (up_seconds is not None and age > up_seconds + 1):
        return Verdict(Health.STARTING, f"nothing in {word} yet")
    if age > _SILENT_SECONDS:
        return Verdict(Health.UNHEALTHY, f"silent for {age:.0f} s; see: pipeline logs {names.GENERATOR}")
    if reading.state == State.CLOSED:
        refused = f"; an edit is not in force: {reading.refused_edit}" if reading.refused_edit else ""
        return Verdict(Health.HEALTHY, f"circuit closed, {reading.rate_per_second:,.1f}/s{refused}")
    seconds = max(0.0, (now - reading.changed_at).total_seconds())
    state = reading.state.replace("_", " ")
    detail = f"circuit {state} for {seconds:.0f} s, {reading.under_way:,} records wait: {reading.reason}"
    return Verdict(Health.UNHEALTHY, detail)


def _jobmanager(flink: httpx.Client) -> Verdict:
    try:
        taskmanagers(flink)
    except NotRunning:
        return Verdict(Health.STARTING, "does not answer yet")
    return Verdict(Health.HEALTHY, str(flink.base_url))


def _taskmanager(flink: httpx.Client, name: str) -> Verdict:
    try:
        there = name in taskmanagers(flink)
    except NotRunning:
        return Verdict(Health.STARTING, "waits for the JobManager")
    return Verdict(Health.HEALTHY, "registered") if there else Verdict(Health.STARTING, "not registered yet")


def _jobs(flink: httpx.Client, kafka: KafkaAccess, state: Path) -> tuple[Component, ...]:
    try:
        found = {job.name: job for job in job_statuses(flink, names.JOBS)}
    except NotRunning:
        found = {}
    return tuple(_job(flink, kafka, name, found.get(name), state) for name in names.JOBS)


def _job(flink: httpx.Client, kafka: KafkaAccess, name: str, job: JobStatus | None, state: Path) -> Component:
    if job is None or job.ended:
        if reason := read_refusal(state, name):
            return Component(f"job {name}", Health.UNHEALTHY, f"not started: {reason}")
        if job is not None and job.state == "FAILED" and (past := _failures(flink, job.job_id)):
            detail = f"failed at its start: {past[0].cause}; more: pipeline logs {names.JOBMANAGER}"
            return Component(f"job {name}", Health.UNHEALTHY, detail)
        return Component(f"job {name}", Health.STARTING, "not submitted yet")
    past = _failures(flink, job.job_id) if job.restarts or not job.running else ()
    repeated = _repeated(past, datetime.now(UTC))
    if repeated:
        minutes = _FAILURE_SPAN // timedelta(minutes=1)
        where = tell_failing_record(kafka, StatePaths(state).checkpoints, name)
        detail = (
            f"failed {repeated} times in {minutes} min, each time with: {past[0].cause.rstrip('.')}. Mend that: Flink "
            f"tries again by itself, at least every 20 s. {where}; more: pipeline logs {names.TASKMANAGERS[name]}"
        )
        health = Health.UNHEALTHY
    elif not job.running:
        health = Health.UNHEALTHY if past else Health.STARTING
        because = f": {past[0].cause}" if past else ""
        detail = f"{job.state.lower()}, {job.running_tasks} of {job.tasks} tasks run{because}"
    else:
        health, detail = Health.HEALTHY, f"checkpoint {job.checkpoint_id or '-'}, restarts {job.restarts or 0}"
    return Component(f"job {name}", health, detail, up_seconds=job.uptime_ms // 1000)


def _repeated(past: tuple[JobFailure, ...], now: datetime) -> int:
    """How often the newest failure's cause came up lately; 0 where that is seldom, or seems to be over."""
    if not past or (now - past[0].at).total_seconds() > _MENDED_SECONDS:
        return 0
    count = sum(failure.cause == past[0].cause and now - failure.at < _FAILURE_SPAN for failure in past)
    return count if count >= _FAILURES else 0


def _failures(flink: httpx.Client, job_id: str) -> tuple[JobFailure, ...]:
    try:
        return failures(flink, job_id)
    except httpx.HTTPError:
        return ()  # Flink knew the job a moment ago and is gone, or has forgotten it


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
