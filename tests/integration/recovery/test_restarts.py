"""Ends of a pipeline that had been brought down and up before: its checkpoints follow a savepoint.

A folder that has just been made cannot show what is wrong there; `test_maintenance.py` leaves one that has not.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest

from contracts import names
from tests.integration import accounting
from tests.integration.recovery.conftest import TAKEOVER_SECONDS, Patient

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]


def test_checkpoint_after_down_and_up_needs_no_file_that_lies_in_a_savepoint(pipeline: Patient) -> None:
    """A savepoint that is claimed has its files re-used by checkpoints that look for them in their own folders."""
    folder = pipeline.paths.checkpoints / names.ALERTING_JOB
    accounting.eventually(lambda: pipeline.checkpoints(names.ALERTING_JOB) > 1, "alerting has none", seconds=60)
    saved = {file.name for file in folder.glob("*/savepoints/*/*") if file.name != "_metadata"}
    assert saved, "the state is too small to be in files of its own"
    missing = []
    for metadata in folder.glob("*/*/chk-*/_metadata"):
        with suppress(FileNotFoundError):  # Flink removes it meanwhile
            text = metadata.read_bytes()
            missing += [
                f"{metadata.parent.name}: {name}"
                for name in saved
                if name.encode() in text and not (metadata.parent / name).exists()
            ]
    assert missing == []


def test_kill_of_the_jobmanager_after_down_and_up_loses_and_doubles_nothing(pipeline: Patient) -> None:
    """Both jobs are submitted again, each from a checkpoint that was written after it had gone on from a savepoint."""
    accounting.eventually(lambda: pipeline.checkpoints(names.ALERTING_JOB) > 1, "alerting has none", seconds=60)
    before, alerts = pipeline.pid(names.JOBMANAGER), pipeline.alerts()
    killed = pipeline.kill(names.JOBMANAGER)
    pipeline.assert_recovers(names.JOBMANAGER, killed)
    assert pipeline.pid(names.JOBMANAGER) != before
    accounting.eventually(lambda: pipeline.alerts() > alerts, "no alert came after it", seconds=60)


def test_kill_of_the_supervisor_starts_everything_anew_by_itself(pipeline: Patient, moment: Callable[[], None]) -> None:
    moment()
    addresses, orphans = pipeline.addresses, set(pipeline.pids())
    killed = pipeline.kill_supervisor()
    # Orphans still write rows for a moment: those that count are of the new pipeline.
    began = accounting.eventually(pipeline.started_anew, "nothing was started anew", seconds=60)
    pipeline.await_rows_sent_after(began, seconds=TAKEOVER_SECONDS - (began - killed).total_seconds())
    pipeline.assert_recovers("supervisor", killed, seconds=TAKEOVER_SECONDS)
    assert pipeline.addresses == addresses
    assert not orphans & set(pipeline.pids())
