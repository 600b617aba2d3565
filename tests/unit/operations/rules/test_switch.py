"""How a rule book takes over, look by look: which jobs should run, and when the former one may end. Flink's REST
interface as given answers, the state folder real."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from contracts.settings import Settings
from operations.rules import beginnings
from operations.rules.switch import Switch, want_what_is_configured
from pipeline_assets.lib.skips import add_skip
from streaming.checkpoints import checkpoint_folder, savepoint_folder
from streaming.deployments import Begin, Deployment
from streaming.rules.book import load_rules, rules_text
from streaming.running_jobs import RunningJob, running_jobs
from tests.checkpoint_files import write_metadata
from tests.config_copies import copy_of_config, replaced


@dataclass
class Flink:
    """A Flink whose jobs, by id, have read the raw topic up to these offsets by partition."""

    read: dict[str, dict[int, int]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match request.url.path.strip("/").split("/"):
            case ["jobs", "overview"]:
                return httpx.Response(200, json={"jobs": [self._job(job) for job in self.fingerprints]})
            case ["jobs", job, "config"]:
                user = {"fingerprint": self.fingerprints[job]} if self.fingerprints[job] else {}
                return httpx.Response(200, json={"execution-config": {"user-config": user}})
            case ["jobs", job] if request.method == "PATCH":
                self.cancelled.append(job)
                return httpx.Response(202)
            case ["jobs", _]:
                vertices = [{"id": "v1", "name": "Source: raw_transactions[1] -> Calc"}, {"id": "v2", "name": "Sink"}]
                return httpx.Response(200, json={"vertices": vertices})
            case ["jobs", job, "vertices", "v1", "metrics"]:
                scope = "0.Source__raw_transactions[1].KafkaSourceReader.topic.transactions_raw.partition"
                found = [
                    {"id": f"{scope}.{part}.currentOffset", "value": str(offset - 1)}
                    for part, offset in self.read[job].items()
                ]
                return httpx.Response(200, json=[*found, {"id": "0.numRecordsIn", "value": "7"}])
            case ["jobs", job, "stop"]:
                self.stopped.append(job)
                return httpx.Response(202, json={"request-id": "r"})
            case ["jobs", _, "savepoints", "r"]:
                return httpx.Response(200, json={"status": {"id": "COMPLETED"}})
            case _:
                raise AssertionError(f"not expected: {request.method} {request.url}")

    def _job(self, job: str) -> dict[str, Any]:
        tasks = {"total": 2, "running": 2}
        return {"jid": job, "name": names.ALERTING_JOB, "state": "RUNNING", "tasks": tasks}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


@pytest.fixture
def addresses(settings: Settings) -> Addresses:
    return Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=2, dagster_port=3)


@pytest.fixture
def flink() -> Flink:
    return Flink()


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The offsets of Kafka's consumer group."""
    offsets: dict[int, int] = {}
    monkeypatch.setattr("operations.rules.switch.committed_offsets", lambda kafka, group, topic: offsets)
    return offsets


@pytest.fixture
def switch(settings: Settings, addresses: Addresses, flink: Flink) -> Switch:
    return Switch(addresses, settings, flink.client())


def in_force(switch: Switch, flink: Flink) -> Deployment:
    """The first deployment, in force, its job `old` running."""
    want_what_is_configured(switch.settings, switch.addresses)
    (first,) = switch.lacking(())
    assert first.fingerprint
    flink.fingerprints["old"] = first.fingerprint
    switch.advance(running_jobs(switch.flink))
    found = switch.deployments.in_force()
    assert found is not None
    return found


def wanted(switch: Switch, flink: Flink, *, read_from: int = 90, judge_from: int = 100) -> Deployment:
    """A second deployment, its job `new` running."""
    second = switch.deployments.want(load_rules(), rules_text(), reason="a test", cold=False)
    switch.deployments.save(
        second.model_copy(update={"begin": Begin(read_from={0: read_from}, judge_from={0: judge_from})})
    )
    (second,) = switch.lacking(running_jobs(switch.flink))
    assert second.fingerprint
    flink.fingerprints["new"] = second.fingerprint
    return second


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


@pytest.mark.parametrize(("read", "stopped"), [(99, []), (100, ["old"])])
def test_advance_restored_job_that_has_read_nothing_since_shows_its_position_by_its_checkpoint(
    switch: Switch, flink: Flink, read: int, stopped: list[str]
) -> None:
    first = in_force(switch, flink)
    wanted(switch, flink)
    folder = checkpoint_folder(switch.settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
    write_metadata(folder / "job" / "chk-4", {names.RAW_TOPIC: {0: read}})
    flink.read = {"new": {0: 100}, "old": {}}
    switch.advance(running_jobs(switch.flink))
    assert flink.stopped == stopped


@pytest.mark.parametrize("metadata", [None, b"", b"what is left of one"])
def test_lacking_job_whose_state_is_lost_is_wanted_again_from_where_it_stopped(
    switch: Switch, flink: Flink, group: dict[int, int], monkeypatch: pytest.MonkeyPatch, metadata: bytes | None
) -> None:
    first = in_force(switch, flink)
    group |= {0: 1200, 1: 900}
    if metadata is not None:
        folder = checkpoint_folder(switch.settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
        (write_metadata(folder / "job" / "chk-4", {}) / "_metadata").write_bytes(metadata)
    monkeypatch.setattr(
        "operations.rules.switch.beginning_at", lambda kafka, judge_from, memory: Begin(judge_from=dict(judge_from))
    )
    (again,) = switch.lacking(())
    assert (again.number, again.cold, again.reason) == (2, True, "its checkpoints were lost")
    assert again.begin == Begin(judge_from={0: 1200, 1: 900})
    assert again.rules == first.rules
    flink.fingerprints = {"new": again.fingerprint or ""}
    switch.advance(running_jobs(switch.flink))
    assert [deployment.state for deployment in switch.deployments.all()] == ["ended", "in force"]


@pytest.mark.parametrize(("read", "begins"), [(1199, True), (1200, True), (1201, False)])
def test_lacking_job_that_has_not_read_a_record_that_is_passed_over_begins_after_it(
    switch: Switch, flink: Flink, monkeypatch: pytest.MonkeyPatch, read: int, begins: bool
) -> None:
    """Also what warms its windows is read from after that record on: it is what the job fails on."""
    first = in_force(switch, flink)
    folder = checkpoint_folder(switch.settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
    write_metadata(folder / "job" / "chk-4", {names.RAW_TOPIC: {0: read, 1: 700}})
    add_skip(switch.settings.paths.skips, Position(names.RAW_TOPIC, 0, 1200), why="too large", operator="me")
    monkeypatch.setattr(
        "operations.rules.switch.beginning_at",
        lambda kafka, judge_from, memory: Begin(
            read_from={part: offset - 100 for part, offset in judge_from.items()}, judge_from=dict(judge_from)
        ),
    )
    (due,) = switch.lacking(())
    if not begins:
        assert due.number == first.number
        return
    assert (due.number, due.reason) == (2, "records were passed over")
    assert due.begin == Begin(read_from={0: 1201, 1: 600}, judge_from={0: 1201, 1: 700})
    flink.fingerprints = {"new": due.fingerprint or ""}
    switch.advance(running_jobs(switch.flink))
    assert [found.number for found in switch.lacking(())] == [2], "once, and not again"


def test_refuse_without_its_state_of_a_job_that_lost_it_meanwhile_has_the_next_look_decide(
    switch: Switch, flink: Flink, group: dict[int, int]
) -> None:
    """Removed between the look and the submission; a job that is still to take over has none yet."""
    first = in_force(switch, flink)
    switch.refuse_without_its_state(first)  # it never completed a checkpoint
    group |= {0: 1200}
    with pytest.raises(NotRunning, match="deployment 1 cannot go on from its state: its checkpoints were lost"):
        switch.refuse_without_its_state(first)
    switch.refuse_without_its_state(wanted(switch, flink))


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


def _changed_rules_are_wanted(switch: Switch, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Deployment:
    """What is wanted after the rule file has changed while the pipeline was down."""
    config = copy_of_config(folder)
    replaced(config / "alerting-rules.yaml", 'version: "1"', 'version: "2"')
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    want_what_is_configured(switch.settings, switch.addresses)
    due = switch.deployments.wanted()
    assert due is not None
    return due


def test_want_what_is_configured_changed_rules_wait_for_kafka(
    switch: Switch, flink: Flink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_force(switch, flink)
    switch.deployments.save(first.model_copy(update={"begin": Begin(judge_from={0: 7})}))
    due = _changed_rules_are_wanted(switch, monkeypatch, tmp_path)
    assert (due.cold, due.reason, due.rules["high-value"]) == (True, "rules changed", "2")
    monkeypatch.setattr(beginnings, "_SECONDS", 0.1)
    with pytest.raises(NotRunning):  # there is no Kafka to ask
        switch.lacking(())


@pytest.mark.parametrize("ended", ["with a savepoint", "before its first checkpoint", "and lost its state"])
def test_lacking_changed_rules_begin_where_the_state_of_the_former_job_ends(
    switch: Switch, flink: Flink, group: dict[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    """Kafka's consumer group lags behind it, and would have records judged twice."""
    first = in_force(switch, flink)
    first = switch.deployments.save(first.model_copy(update={"begin": Begin(judge_from={0: 7})}))
    if ended == "with a savepoint":
        folder = savepoint_folder(switch.settings.paths.checkpoints, names.ALERTING_JOB, first.fingerprint or "")
        write_metadata(folder / "savepoint-1", {names.RAW_TOPIC: {0: 1200, 1: 900}})
    if ended != "before its first checkpoint":
        group |= {0: 1100, 1: 900}
    asked = []

    def beginning_at(kafka: KafkaAccess, judge_from: Mapping[int, int], memory_seconds: int) -> Begin:
        asked.append((dict(judge_from), memory_seconds))
        return Begin(judge_from=dict(judge_from))

    monkeypatch.setattr("operations.rules.switch.beginning_at", beginning_at)
    _changed_rules_are_wanted(switch, monkeypatch, tmp_path)
    (due,) = switch.lacking(())
    assert due.begin is not None
    expected = {"with a savepoint": {0: 1200, 1: 900}, "and lost its state": {0: 1100, 1: 900}}
    assert due.begin.judge_from == expected.get(ended, {0: 7})
    assert [seconds for _, seconds in asked] == [60]


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
