"""Jobs that have lost their state while tables hold rows: they go on from the rows, and from nothing else.

Everything is done to the running pipeline: its traffic goes on, and its ledger tells at the end what was lost.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import names
from contracts.rest import rest_client
from operations.flink_jobs import cancel_job
from pipeline_assets.lib.flink_rest import JobStatus, job_statuses
from tests.integration import accounting
from tests.integration.recovery.conftest import Patient

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]


def _job(pipeline: Patient, name: str) -> JobStatus:
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        (job,) = job_statuses(flink, (name,))
        return job


def _await_ended(pipeline: Patient, name: str, job_id: str) -> None:
    def ended() -> bool:
        job = _job(pipeline, name)
        return job.ended or job.job_id != job_id

    accounting.eventually(ended, "the job has not ended", seconds=60)


def _assert_goes_on(pipeline: Patient, what: str) -> None:
    """Rows that are sent from now on are stored, and every record so far has one fate."""
    pipeline.await_rows_sent_after(datetime.now(UTC), seconds=90)
    pipeline.assert_recovers(what, datetime.now(UTC), seconds=90)
    (line,) = [part for part in pipeline.command.status().components if part.name == "lake offsets"]
    assert line.detail == "every record once"


def test_lakehouse_stopped_with_a_savepoint_elsewhere_goes_on_from_its_rows(pipeline: Patient, tmp_path: Path) -> None:
    """Through Flink's interface, as anybody on the machine can: its checkpoints are deleted with it."""
    job = _job(pipeline, names.LAKEHOUSE_JOB)
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        wish = {"drain": False, "targetDirectory": f"file://{tmp_path}"}
        flink.post(f"/jobs/{job.job_id}/stop", json=wish).raise_for_status()
    _await_ended(pipeline, names.LAKEHOUSE_JOB, job.job_id)
    _assert_goes_on(pipeline, "lakehouse stopped")
    assert _job(pipeline, names.LAKEHOUSE_JOB).job_id != job.job_id


def test_lakehouse_cancelled_and_its_checkpoints_deleted_goes_on_from_its_rows(pipeline: Patient) -> None:
    job = _job(pipeline, names.LAKEHOUSE_JOB)
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        cancel_job(flink, job.job_id)
    _await_ended(pipeline, names.LAKEHOUSE_JOB, job.job_id)
    for plan in (pipeline.paths.checkpoints / names.LAKEHOUSE_JOB).iterdir():
        for folder in [child for child in plan.iterdir() if child.is_dir()]:
            shutil.rmtree(folder, ignore_errors=True)
    _assert_goes_on(pipeline, "lakehouse without checkpoints")


def test_lakehouse_whose_newest_checkpoints_are_damaged_loses_and_doubles_nothing(pipeline: Patient) -> None:
    job = _job(pipeline, names.LAKEHOUSE_JOB)
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        cancel_job(flink, job.job_id)
    _await_ended(pipeline, names.LAKEHOUSE_JOB, job.job_id)
    for metadata in (pipeline.paths.checkpoints / names.LAKEHOUSE_JOB).glob("*/*/chk-*/_metadata"):
        metadata.write_bytes(metadata.read_bytes()[:1000])
    _assert_goes_on(pipeline, "lakehouse with damaged checkpoints")


def test_alerting_cancelled_and_its_checkpoints_deleted_misses_no_alert(pipeline: Patient) -> None:
    job, alerts = _job(pipeline, names.ALERTING_JOB), pipeline.alerts()
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        cancel_job(flink, job.job_id)
    _await_ended(pipeline, names.ALERTING_JOB, job.job_id)
    shutil.rmtree(pipeline.paths.checkpoints / names.ALERTING_JOB)
    accounting.eventually(lambda: pipeline.alerts() > alerts, "no alert came after it", seconds=120)
    accounting.await_healthy(pipeline.command)
    history = pipeline.command("rules", "history").stdout
    assert "its checkpoints were lost" in " ".join(history.split())
    pipeline.assert_recovers("alerting without checkpoints", datetime.now(UTC), seconds=90)
