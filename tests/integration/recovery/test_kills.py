"""Any process killed without a word, at a random moment, under traffic."""

from collections.abc import Callable

import pytest

from contracts import names
from tests.integration import accounting
from tests.integration.recovery.conftest import Patient

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]


@pytest.mark.parametrize("component", [*names.TASKMANAGERS.values(), names.BROKER, names.GENERATOR])
def test_kill_of_a_component_loses_and_doubles_nothing(
    pipeline: Patient, moment: Callable[[], None], component: str
) -> None:
    moment()
    before, restarts = pipeline.pid(component), pipeline.restarts()
    killed = pipeline.kill(component)
    pipeline.assert_recovers(component, killed)
    assert pipeline.pid(component) != before
    job = next((job for job, taskmanager in names.TASKMANAGERS.items() if taskmanager == component), None)
    if job:
        # Flink misses a TaskManager after 10 s; its job's restart belongs to this test, not to the next one.
        accounting.eventually(lambda: pipeline.restarts()[job] > restarts[job], f"{job} did not restart", seconds=60)
        accounting.await_healthy(pipeline.command)
    if job == names.LAKEHOUSE_JOB:
        unchanged = restarts[names.ALERTING_JOB]
        assert pipeline.restarts()[names.ALERTING_JOB] == unchanged, "what writes tables held alerts back"


def test_kill_of_all_of_dagster_holds_up_neither_alerts_nor_commits(
    pipeline: Patient, moment: Callable[[], None]
) -> None:
    moment()
    alerts = pipeline.alerts()
    killed = [pipeline.kill(component) for component in (names.CODE_SERVER, names.DAEMON, names.WEBSERVER)]
    accounting.eventually(lambda: pipeline.alerts() > alerts, "no alert came", seconds=5)
    pipeline.await_commit(seconds=15)
    pipeline.assert_recovers("Dagster", killed[-1])
