"""Operations that remove checkpoints and savepoints, and that tell why a job is not started."""

import os
from datetime import UTC, datetime
from pathlib import Path

import httpx

from contracts import names
from contracts.paths import StatePaths
from contracts.settings import Settings
from operations.refusals import clear_refusals, read_refusal, write_refusal
from operations.rules.switch import Switch
from streaming.checkpoints import checkpoint_folder, remove_old_savepoints, restore_points, savepoint_folder
from streaming.deployments import Begin, Deployment, Deployments
from streaming.running_jobs import RunningJob
from tests.checkpoint_files import write_metadata
from tests.interruptions.operation import Operation, Seen
from tests.interruptions.reading import addresses_of

_OLD, _NEW = "first", "second"


def _restore_point(folder: Path, number: int) -> None:
    """Write a checkpoint or savepoint of three files, `number` being its time."""
    write_metadata(folder, {names.RAW_TOPIC: {0: number}})
    for name in ("state-1", "state-2"):
        (folder / name).write_text(name)
    os.utime(folder / "_metadata", (number, number))


def _of_each_point(state: Path, job: str) -> Seen:
    """Show the files of each restore point that a job might go on from."""
    points = restore_points(StatePaths(state).checkpoints, job)
    return {point.path.name: sorted(path.name for path in point.path.iterdir()) for point in points}


# --- old savepoints


def _four_savepoints(state: Path) -> None:
    checkpoints = StatePaths(state).checkpoints
    for number in range(1, 5):
        folder = savepoint_folder(checkpoints, names.LAKEHOUSE_JOB, "plan")
        _restore_point(folder / f"savepoint-{number}", number)
    _restore_point(checkpoint_folder(checkpoints, names.LAKEHOUSE_JOB, "plan") / "job" / "chk-9", 9)


def _remove_savepoints(state: Path) -> None:
    remove_old_savepoints(StatePaths(state).checkpoints, names.LAKEHOUSE_JOB, "plan")


def _savepoints(state: Path) -> Seen:
    return _of_each_point(state, names.LAKEHOUSE_JOB)


# --- rules that take over


def _deployment(number: int, fingerprint: str, in_force_at: datetime | None) -> Deployment:
    return Deployment(
        number=number,
        reason="a test",
        rules={},
        wanted_at=datetime(2026, 11, 30, 12, number, tzinfo=UTC),
        cold=True,
        begin=Begin(),
        fingerprint=fingerprint,
        in_force_at=in_force_at,
    )


def _two_deployments(state: Path) -> None:
    deployments, paths = Deployments(StatePaths(state).rules), StatePaths(state)
    for number, fingerprint in ((1, _OLD), (2, _NEW)):
        (paths.rules / str(number)).mkdir(parents=True)
        deployments.save(_deployment(number, fingerprint, datetime.now(UTC) if number == 1 else None))
        folder = checkpoint_folder(paths.checkpoints, names.ALERTING_JOB, fingerprint)
        _restore_point(folder / "job" / f"chk-{number}", number)


def _unexpected(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"not expected: {request.method} {request.url}")


def _advance(state: Path) -> None:
    client = httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(_unexpected))
    with client:
        switch = Switch(addresses_of(state), Settings(state=state), client)
        switch.advance((RunningJob("new", names.ALERTING_JOB, running=True, fingerprint=_NEW),))


def _in_force(state: Path) -> Seen:
    current = Deployments(StatePaths(state).rules).in_force()
    return {"in force": current and current.number, **_of_each_point(state, names.ALERTING_JOB)}


def _history(state: Path) -> object:
    plans = StatePaths(state).checkpoints / names.ALERTING_JOB
    states = [deployment.state for deployment in Deployments(StatePaths(state).rules).all()]
    return states, sorted(path.name for path in plans.glob("[!.]*"))


# --- refusals


def _refused(state: Path) -> None:
    write_refusal(StatePaths(state), names.LAKEHOUSE_JOB, "the first reason")


def _refuse_again(state: Path) -> None:
    write_refusal(StatePaths(state), names.LAKEHOUSE_JOB, "the second reason")


def _clear(state: Path) -> None:
    clear_refusals(StatePaths(state), *names.JOBS)


def _reasons(state: Path) -> Seen:
    return {job: read_refusal(state, job) for job in names.JOBS}


OPERATIONS = (
    Operation("remove old savepoints", _four_savepoints, _remove_savepoints, _savepoints),
    Operation("rules take over", _two_deployments, _advance, _in_force, _history),
    Operation("refuse", _refused, _refuse_again, _reasons),
    Operation("clear refusals", _refused, _clear, _reasons),
)
