"""Ends Flink jobs in order: with a savepoint, so that nothing is sent twice when they go on from it."""

from pathlib import Path

import httpx
import tenacity

from streaming.checkpoints import flink_uri, savepoint_folder
from streaming.running_jobs import running_jobs


def stop_jobs(client: httpx.Client, checkpoints: Path, *, seconds: float, only: set[str] | None = None) -> bool:
    """Asks every running job to write a savepoint under `checkpoints` and end; with `only`, those of these ids.

    Returns False where time ran out.

    A job that is not stopped in time is none the worse: it goes on from its newest checkpoint.
    Raises NotRunning or httpx.HTTPError where Flink does not answer.
    """
    requests = {
        job.job_id: _stop(client, job.job_id, savepoint_folder(checkpoints, job.name, job.fingerprint))
        for job in running_jobs(client)
        # One without a fingerprint was submitted by hand, and its savepoint would not be found.
        if job.running and job.fingerprint and (only is None or job.job_id in only)
    }
    retry = tenacity.Retrying(
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda done: not done),
        retry_error_callback=lambda _: False,
    )
    return bool(retry(lambda: all(_is_done(client, job, request) for job, request in requests.items())))


def _stop(client: httpx.Client, job_id: str, folder: Path) -> str:
    wish = {"drain": False, "formatType": "NATIVE", "targetDirectory": flink_uri(folder)}
    answer = client.post(f"/jobs/{job_id}/stop", json=wish)
    answer.raise_for_status()
    return str(answer.json()["request-id"])


def _is_done(client: httpx.Client, job_id: str, request: str) -> bool:
    answer = client.get(f"/jobs/{job_id}/savepoints/{request}")
    answer.raise_for_status()
    return bool(answer.json()["status"]["id"] == "COMPLETED")


def cancel_job(client: httpx.Client, job_id: str) -> None:
    """Ends a job at once; harmless where it has ended. Raises httpx.HTTPError where Flink does not answer."""
    answer = client.patch(f"/jobs/{job_id}?mode=cancel")
    if answer.status_code not in (httpx.codes.NOT_FOUND, httpx.codes.CONFLICT):
        answer.raise_for_status()
