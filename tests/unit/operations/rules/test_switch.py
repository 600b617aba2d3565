"""How a rule book takes over, look by look: which jobs should run, and when the former one may end. Flink's REST
interface as given answers, the state folder real."""

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.settings import Settings
from operations.rules import beginnings
from operations.rules.switch import Switch, want_what_is_configured
from streaming.checkpoints import checkpoint_folder
from streaming.deployments import Begin
from streaming.running_jobs import RunningJob, running_jobs
from tests.rule_switch import Flink, changed_rules_are_wanted, in_force, wanted


def test_lacking_first_start_runs_the_configured_rules_from_the_first_record(
    switch: Switch, settings: Settings, addresses: Addresses
) -> None:
    want_what_is_configured(settings, addresses)
    (due,) = switch.lacking(())
    assert (due.number, due.cold, due.begin) == (1, True, Begin())
    assert due.fingerprint


def test_advance_first_deployment_is_in_force_once_its_job_runs(switch: Switch, flink: Flink) -> None:
    assert in_force(switch, flink).number == 1
    assert switch.lacking(running_jobs(switch.flink)) == ()


def test_lacking_job_that_flink_has_lost_is_due_again(switch: Switch, flink: Flink) -> None:
    first = in_force(switch, flink)
    assert [deployment.number for deployment in switch.lacking(())] == [first.number]


@pytest.mark.parametrize(("new", "old"), [(99, 500), (100, 99), (0, 0)])
def test_advance_before_both_jobs_have_passed_the_beginning_both_go_on(
    switch: Switch, flink: Flink, new: int, old: int
) -> None:
    in_force(switch, flink)
    wanted(switch, flink)
    flink.read = {"new": {0: new}, "old": {0: old}}
    switch.advance(running_jobs(switch.flink))
    assert flink.stopped == []
    assert [deployment.state for deployment in switch.deployments.all()] == ["in force", "wanted"]


def test_advance_when_both_have_passed_the_new_one_takes_over(switch: Switch, flink: Flink, settings: Settings) -> None:
    first = in_force(switch, flink)
    folder = checkpoint_folder(settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
    folder.mkdir(parents=True)
    wanted(switch, flink)
    flink.read = {"new": {0: 100}, "old": {0: 100}}
    switch.advance(running_jobs(switch.flink))
    assert flink.stopped == ["old"]
    assert [deployment.state for deployment in switch.deployments.all()] == ["ended", "in force"]
    assert not folder.exists(), "the checkpoints of a book that has ended are of no use"


def test_advance_take_over_that_was_cut_short_is_finished_by_the_next_look(
    switch: Switch, flink: Flink, settings: Settings
) -> None:
    first = in_force(switch, flink)
    folder = checkpoint_folder(settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
    folder.mkdir(parents=True)
    switch.deployments.save(wanted(switch, flink).model_copy(update={"in_force_at": datetime.now(UTC)}))
    switch.advance(running_jobs(switch.flink))
    assert [deployment.state for deployment in switch.deployments.all()] == ["ended", "in force"]
    assert not folder.exists()


def test_advance_nothing_to_warm_needs_no_position_of_the_new_job(switch: Switch, flink: Flink) -> None:
    in_force(switch, flink)
    wanted(switch, flink, read_from=100)
    flink.read = {"new": {}, "old": {0: 100}}
    switch.advance(running_jobs(switch.flink))
    assert flink.stopped == ["old"]


def test_lacking_job_lost_while_another_takes_over_both_are_due(switch: Switch, flink: Flink) -> None:
    """Killed in the middle, the former book goes on until the new one has caught up."""
    in_force(switch, flink)
    wanted(switch, flink)
    assert [deployment.number for deployment in switch.lacking(())] == [1, 2]


def test_refused_deployment_fails_and_its_job_is_ended(switch: Switch, flink: Flink) -> None:
    in_force(switch, flink)
    switch.refused(wanted(switch, flink), "Flink said no")
    switch.advance(running_jobs(switch.flink))
    assert [deployment.state for deployment in switch.deployments.all()] == ["in force", "failed"]
    assert flink.cancelled == ["new"]
    assert flink.stopped == []


def test_advance_refused_rules_deployed_again_go_on(switch: Switch, flink: Flink) -> None:
    """Both deployments have one plan, and so one fingerprint."""
    in_force(switch, flink)
    failed = wanted(switch, flink)
    switch.refused(failed, "Flink said no")
    again = wanted(switch, flink)
    assert again.fingerprint == failed.fingerprint
    flink.read = {"new": {0: 100}, "old": {0: 100}}
    switch.advance(running_jobs(switch.flink))
    assert flink.cancelled == []
    assert switch.deployments.in_force() == switch.deployments.get(again.number)


def test_want_what_is_configured_unchanged_rules_add_nothing(switch: Switch, flink: Flink, settings: Settings) -> None:
    in_force(switch, flink)
    want_what_is_configured(settings, switch.addresses)
    assert len(switch.deployments.all()) == 1


def test_want_what_is_configured_changed_rules_wait_for_kafka(
    switch: Switch, flink: Flink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_force(switch, flink)
    switch.deployments.save(first.model_copy(update={"begin": Begin(judge_from={0: 7})}))
    due = changed_rules_are_wanted(switch, monkeypatch, tmp_path)
    assert (due.cold, due.reason, due.rules["high-value"]) == (True, "rules changed", "2")
    monkeypatch.setattr(beginnings, "_SECONDS", 0.1)
    with pytest.raises(NotRunning):  # there is no Kafka to ask
        switch.lacking(())


def test_want_what_is_configured_changed_plan_is_a_deployment_of_the_same_rules(
    switch: Switch, flink: Flink, settings: Settings
) -> None:
    first = in_force(switch, flink)
    switch.deployments.save(first.model_copy(update={"fingerprint": "that of another version"}))
    want_what_is_configured(settings, switch.addresses)
    due = switch.deployments.wanted()
    assert due is not None
    assert (due.cold, due.reason) == (True, "contract, settings or version changed")


def test_running_jobs_job_that_flink_does_not_tell_of_yet_is_no_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/config"):
            return httpx.Response(200, json={"execution-config": {"user-config": {}}})
        tasks = {"total": 0, "running": 0}
        job = {"jid": "j", "name": "alerting", "state": "INITIALIZING", "tasks": tasks}
        return httpx.Response(200, content=json.dumps({"jobs": [job]}))

    client = httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(answer))
    with pytest.raises(NotRunning, match="does not tell of it yet"):
        running_jobs(client)


def test_running_jobs_ended_ones_are_left_out(flink: Flink) -> None:
    flink.fingerprints = {"a": "print", "b": ""}
    found = running_jobs(flink.client())
    assert found == (
        RunningJob("a", names.ALERTING_JOB, running=True, fingerprint="print"),
        RunningJob("b", names.ALERTING_JOB, running=True, fingerprint=None),
    )
