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


def test_jobs_whose_checkpoints_are_damaged_or_deleted_lose_and_double_nothing(pipeline: Patient) -> None:
    """`lakehouse` goes on from its rows, `alerting` from where its consumer group was, its windows warmed."""
    alerts = pipeline.alerts()
    jobs = {name: _job(pipeline, name).job_id for name in names.JOBS}
    with rest_client(pipeline.addresses.flink_rest_url, timeout=10) as flink:
        for job_id in jobs.values():
            cancel_job(flink, job_id)
    for name, job_id in jobs.items():
        _await_ended(pipeline, name, job_id)
    for metadata in (pipeline.paths.checkpoints / names.LAKEHOUSE_JOB).glob("*/*/chk-*/_metadata"):
        metadata.write_bytes(metadata.read_bytes()[:1000])
    shutil.rmtree(pipeline.paths.checkpoints / names.ALERTING_JOB)
    _assert_goes_on(pipeline, "jobs without checkpoints")
    accounting.eventually(lambda: pipeline.alerts() > alerts, "no alert came after it", seconds=120)
    history = pipeline.command("rules", "history").stdout
    assert "its checkpoints were lost" in " ".join(history.split())
