"""Asks Flink's REST interface how its jobs are doing. No Dagster here."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from contracts.errors import NotRunning

_CAUSED_BY = "Caused by: "


@dataclass(frozen=True)
class JobStatus:
    """One job as Flink sees it. `state` is Flink's word (RUNNING, RESTARTING, FAILED ...).

    `uptime_ms` counts from the submission of the job. None: not known, for example before the first checkpoint.
    """

    name: str
    job_id: str
    state: str
    uptime_ms: int
    checkpoint_id: int | None
    checkpoints_failed: int | None
    restarts: int | None
    tasks: int
    running_tasks: int

    @property
    def ended(self) -> bool:
        """Whether it will never run again."""
        return self.state in ("FINISHED", "CANCELED", "FAILED")

    @property
    def running(self) -> bool:
        """Whether every task of it runs."""
        return self.state == "RUNNING" and self.tasks == self.running_tasks > 0


@dataclass(frozen=True)
class JobFailure:
    """One failure that made a job restart: when (aware, UTC), and its root cause, the last that Java names."""

    at: datetime
    cause: str


def job_statuses(client: httpx.Client, names: tuple[str, ...]) -> tuple[JobStatus, ...]:
    """The newest submission of each of the jobs `names` that Flink knows, in that order. `client` has Flink's base URL.

    Raises NotRunning where Flink does not answer, or not as Flink does.
    """
    try:
        newest: dict[str, Any] = {}
        for job in sorted(_get(client, "/jobs/overview")["jobs"], key=lambda job: int(job["start-time"])):
            newest[job["name"]] = job
        return tuple(_status(client, newest[name]) for name in names if name in newest)
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NotRunning(f"Flink at {client.base_url} does not answer: {type(error).__name__} {error}") from error


def taskmanagers(client: httpx.Client) -> frozenset[str]:
    """The resource ids of the TaskManagers that have registered. Raises NotRunning as `job_statuses` does."""
    try:
        return frozenset(found["id"] for found in _get(client, "/taskmanagers")["taskmanagers"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NotRunning(f"Flink at {client.base_url} does not answer: {type(error).__name__} {error}") from error


def failures(client: httpx.Client, job_id: str) -> tuple[JobFailure, ...]:
    """The newest failures of a job (Flink keeps 16), newest first. Raises httpx.HTTPError."""
    entries = _get(client, f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
    return tuple(_failure(entry) for entry in entries)


def _failure(entry: Any) -> JobFailure:
    lines = str(entry["stacktrace"]).splitlines()
    cause = next((line for line in reversed(lines) if line.startswith(_CAUSED_BY)), lines[0])
    return JobFailure(datetime.fromtimestamp(entry["timestamp"] / 1000, UTC), cause.removeprefix(_CAUSED_BY))


def _status(client: httpx.Client, job: Any) -> JobStatus:
    job_id = job["jid"]
    checkpoints = _get(client, f"/jobs/{job_id}/checkpoints")
    completed = checkpoints.get("latest", {}).get("completed") or {}
    restarts = next((metric["value"] for metric in _get(client, f"/jobs/{job_id}/metrics?get=numRestarts")), None)
    return JobStatus(
        name=job["name"],
        job_id=job_id,
        state=job["state"],
        uptime_ms=int(job["duration"]),
        checkpoint_id=completed.get("id"),
        checkpoints_failed=checkpoints.get("counts", {}).get("failed"),
        restarts=int(float(restarts)) if restarts is not None else None,
        tasks=job["tasks"]["total"],
        running_tasks=job["tasks"]["running"],
    )


def _get(client: httpx.Client, path: str) -> Any:
    response = client.get(path)
    response.raise_for_status()
    return response.json()
