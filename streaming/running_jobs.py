"""Which jobs a Flink cluster runs, and by which plans: several of one name run while one takes over from another."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx
import tenacity

from contracts.errors import ComponentFailed, NotRunning
from streaming.jobs.plan import FINGERPRINT

_ENDED = ("FINISHED", "CANCELED", "FAILED")
_POSITION = re.compile(r"KafkaSourceReader\.topic\..+\.partition\.(\d+)\.currentOffset$")


@dataclass(frozen=True)
class RunningJob:
    """A job that has not ended. `running` tells whether every task of it runs; `fingerprint` is that of its plan, None
    where it was not submitted by this project."""

    job_id: str
    name: str
    running: bool
    fingerprint: str | None


class NoJobManager(NotRunning):
    """Nothing listens where Flink should: its JobManager has ended, and with it every job."""


def running_jobs(flink: httpx.Client) -> tuple[RunningJob, ...]:
    """Those of the cluster whose address is the client's base URL.

    Raises NoJobManager where nothing listens there, NotRunning where it does not answer.
    """
    try:
        jobs = [job for job in _get(flink, "/jobs/overview")["jobs"] if job["state"] not in _ENDED]
        return tuple(_job(flink, job) for job in jobs)
    except httpx.ConnectError as error:
        raise NoJobManager(f"nothing listens at {flink.base_url}: {error}") from error
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise NotRunning(f"Flink at {flink.base_url} does not answer: {type(error).__name__} {error}") from error


def ended_jobs(flink: httpx.Client) -> tuple[str, ...]:
    """Return the ids of the jobs that the cluster remembers and that have ended. Raises httpx.HTTPError."""
    return tuple(job["jid"] for job in _get(flink, "/jobs/overview")["jobs"] if job["state"] in _ENDED)


def _job(flink: httpx.Client, job: Any) -> RunningJob:
    tasks = job["tasks"]
    running = job["state"] == "RUNNING" and tasks["total"] == tasks["running"] > 0
    fingerprint = fingerprint_of(flink, job["jid"])
    if fingerprint is None and job["state"] == "INITIALIZING":
        raise NotRunning(f"Flink has only just taken the job {job['name']} and does not tell of it yet")
    return RunningJob(job["jid"], job["name"], running, fingerprint)


def submission_id(fingerprint: str, restore: str | None, ended: Iterable[str]) -> str:
    """Return the Flink job id (32 hex digits) of a submission: the same for two clients that are about to do the same.

    A cluster refuses a job id that it has seen, so that of two clients one succeeds: of an old reconciler, which was
    killed, and of the one after it. `ended` are the ids of the jobs that the cluster ran and that have ended.
    """
    told = "\n".join([fingerprint, restore or "", *sorted(ended)])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


class _NotListed(Exception):
    """The list is still older than the job."""


def await_listed(flink: httpx.Client, job_id: str, *, seconds: float = 10) -> None:
    """Returns once the cluster at the client's base URL lists the job.

    Its list may be older than the submission, by `web.refresh-interval`; whoever looks before takes the job for missing
    and submits it again. Raises ComponentFailed after `seconds`.
    """

    def look() -> None:
        if job_id not in {job.job_id for job in running_jobs(flink)}:
            raise _NotListed

    retry = tenacity.Retrying(
        wait=tenacity.wait_fixed(0.25),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_exception_type((NotRunning, _NotListed)),
        reraise=True,
    )
    try:
        retry(look)
    except (NotRunning, _NotListed) as error:
        raise ComponentFailed(
            f"Flink at {flink.base_url} took the job {job_id} and did not list it for {seconds:.0f} s. "
            "Look at: pipeline logs jobmanager"
        ) from error


def fingerprint_of(flink: httpx.Client, job_id: str) -> str | None:
    """The fingerprint of the plan that a job was submitted with; None where it names none. Raises httpx.HTTPError."""
    found = _get(flink, f"/jobs/{job_id}/config")["execution-config"]["user-config"].get(FINGERPRINT)
    return str(found) if found else None


def positions(flink: httpx.Client, job_id: str, source: str) -> dict[int, int]:
    """By partition, the offset that the Kafka source table `source` of a job reads next; none before it read one.

    Flink collects metrics when they are asked for, so an answer may be some seconds old. Raises httpx.HTTPError.
    """
    found: dict[int, int] = {}
    for vertex in _get(flink, f"/jobs/{job_id}")["vertices"]:
        if source not in vertex["name"]:
            continue
        path = f"/jobs/{job_id}/vertices/{vertex['id']}/metrics"
        named = [metric["id"] for metric in _get(flink, path) if _POSITION.search(metric["id"])]
        if not named:
            continue
        for metric in _get(flink, f"{path}?get={','.join(named)}"):
            match, value = _POSITION.search(metric["id"]), int(float(metric["value"]))
            if match and value >= 0:
                partition = int(match[1])
                found[partition] = max(found.get(partition, 0), value + 1)
    return found


def _get(flink: httpx.Client, path: str) -> Any:
    answer = flink.get(path)
    answer.raise_for_status()
    return answer.json()
