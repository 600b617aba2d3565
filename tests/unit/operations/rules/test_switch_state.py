"""Places from which alerting goes on: its checkpoints, or the log if it has lost them or must pass over a record."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position
from operations.rules.switch import Switch
from pipeline_assets.lib.skips import add_skip
from streaming.checkpoints import checkpoint_folder, savepoint_folder
from streaming.deployments import Begin
from streaming.running_jobs import running_jobs
from tests.checkpoint_files import write_metadata
from tests.rule_switch import Flink, changed_rules_are_wanted, in_force, wanted


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
    changed_rules_are_wanted(switch, monkeypatch, tmp_path)
    (due,) = switch.lacking(())
    assert due.begin is not None
    expected = {"with a savepoint": {0: 1200, 1: 900}, "and lost its state": {0: 1100, 1: 900}}
    assert due.begin.judge_from == expected.get(ended, {0: 7})
    assert [seconds for _, seconds in asked] == [60]
