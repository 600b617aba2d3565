"""Ends Flink jobs in order: with a savepoint, so that nothing is sent twice when they go on from it."""

from pathlib import Path

import httpx
import tenacity

from contracts import names
from pipeline_assets.lib.flink_rest import job_statuses
from streaming.checkpoints import flink_uri, savepoint_folder
from streaming.jobs.plan import FINGERPRINT


def stop_jobs(client: httpx.Client, checkpoints: Path, *, seconds: float) -> bool:
    """Asks every running job to write a savepoint under `checkpoints` and end. False where time ran out.

    A job that is not stopped in time is none the worse: it goes on from its newest checkpoint.
    Raises NotRunning or httpx.HTTPError where Flink does not answer.
    """
    requests = {
        job.job_id: _stop(client, job.job_id, savepoint_folder(checkpoints, job.name, fingerprint))
        for job in job_statuses(client, names.JOBS)
        if job.running and (fingerprint := _fingerprint(client, job.job_id))
    }
    retry = tenacity.Retrying(
        wait=tenacity.wait_fixed(0.2),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda done: not done),
        retry_error_callback=lambda _: False,
    )
    return bool(retry(lambda: all(_is_done(client, job, request) for job, request in requests.items())))


def _fingerprint(client: httpx.Client, job_id: str) -> str | None:
    answer = client.get(f"/jobs/{job_id}/config")
    answer.raise_for_status()
    found = answer.json()["execution-config"]["user-config"].get(FINGERPRINT)
    return str(found) if found else None  # none: somebody submitted it by hand, and its savepoint would not be found


def _stop(client: httpx.Client, job_id: str, folder: Path) -> str:
    wish = {"drain": False, "formatType": "NATIVE", "targetDirectory": flink_uri(folder)}
    answer = client.post(f"/jobs/{job_id}/stop", json=wish)
    answer.raise_for_status()
    return str(answer.json()["request-id"])


def _is_done(client: httpx.Client, job_id: str, request: str) -> bool:
    answer = client.get(f"/jobs/{job_id}/savepoints/{request}")
    answer.raise_for_status()
    return bool(answer.json()["status"]["id"] == "COMPLETED")
