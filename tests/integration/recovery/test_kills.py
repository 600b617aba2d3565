"""Any process killed without a word, at a random moment, under 1,000 transactions a second.

One pipeline bears it all, and its generator never stops in between; the alerts are compared in the end.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts import names
from tests.integration import accounting
from tests.integration.recovery.conftest import TAKEOVER_SECONDS, Patient, patient_in, run_patient

pytestmark = [pytest.mark.recovery, pytest.mark.timeout(420)]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    yield from run_patient(patient_in(tmp_path_factory.mktemp("kills").resolve()))


@pytest.mark.parametrize("component", [*names.TASKMANAGERS.values(), names.JOBMANAGER, names.BROKER, names.GENERATOR])
def test_kill_of_a_component_loses_and_doubles_nothing(
    pipeline: Patient, moment: Callable[[], None], component: str
) -> None:
    moment()
    before = pipeline.pid(component)
    killed = pipeline.kill(component)
    pipeline.assert_recovers(component, killed)
    assert pipeline.pid(component) != before


def test_kill_of_all_of_dagster_holds_up_neither_alerts_nor_commits(
    pipeline: Patient, moment: Callable[[], None]
) -> None:
    moment()
    alerts = pipeline.alerts()
    killed = [pipeline.kill(component) for component in (names.CODE_SERVER, names.DAEMON, names.WEBSERVER)]
    accounting.eventually(lambda: pipeline.alerts() > alerts, "no alert came", seconds=5)
    pipeline.await_commit(seconds=15)
    pipeline.assert_recovers("Dagster", killed[-1])


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


def test_alerts_after_every_kill_are_those_of_an_undisturbed_run(pipeline: Patient, tmp_path: Path) -> None:
    pipeline.await_silence()
    pipeline.assert_alerts_undisturbed(tmp_path)
