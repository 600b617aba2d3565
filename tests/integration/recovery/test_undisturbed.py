"""The last word on every disturbance of this folder: the alerts are those that an undisturbed run raises."""

from pathlib import Path

import pytest

from tests.integration.recovery.conftest import Patient

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]


def test_alerts_after_every_kill_maintenance_and_stall_are_those_of_an_undisturbed_run(
    pipeline: Patient, tmp_path: Path
) -> None:
    pipeline.await_silence()
    pipeline.assert_alerts_undisturbed(tmp_path)
