"""What `pipeline up`, `down` and `reset` do to the state folder and to each other; the processes are stand-ins."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed, ConfigError, MachineError, NotRunning, PipelineError
from contracts.paths import PROJECT
from contracts.sessions import SESSION_VARIABLE
from contracts.settings import Settings
from operations.embedded.lifecycle import Pipeline
from operations.embedded.supervision import Program
from operations.health import Component, Health

IDLE = Program(names.GENERATOR, (sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)"))


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(Settings(state=tmp_path / "state", ready_seconds=10))
    yield pipeline
    pipeline.supervisor.stop(seconds=0)


def run(pipeline: Pipeline, *programs: Program) -> None:
    """Starts stand-ins in place of Kafka, Flink and the rest."""
    paths = pipeline.settings.paths
    Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1).write()
    pipeline.supervisor.start(
        programs or (IDLE,), {**os.environ, "PIPELINE_STATE": str(paths.root), SESSION_VARIABLE: "test"}
    )
    deadline = time.monotonic() + 10
    while not ((log := paths.logs / f"{names.GENERATOR}.log").exists() and log.read_text()):
        assert time.monotonic() < deadline, "the stand-in did not start"
        time.sleep(0.02)


def test_components_nothing_runs_says_how_to_start(pipeline: Pipeline) -> None:
    with pytest.raises(NotRunning, match="pipeline up"):
        pipeline.components()


def test_components_after_its_supervisor_died_say_so_and_what_to_do(pipeline: Pipeline) -> None:
    run(pipeline)
    os.kill(int((pipeline.settings.paths.run / "supervisord.pid").read_text()), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while pipeline.is_running():
        assert time.monotonic() < deadline
    supervisor, *jobs = pipeline.components()
    assert (supervisor.name, supervisor.health) == ("supervisor", Health.UNHEALTHY)
    assert "it died, and nobody restarts what it left (processes: 1)" in supervisor.detail
    assert supervisor.detail.endswith("pipeline up")
    assert [job.name for job in jobs] == ["job alerting", "job lakehouse"]


def test_start_given_up_program_is_tried_again(pipeline: Pipeline, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    script = "import pathlib, sys, time; print('tried', flush=True); pathlib.Path(sys.argv[1]).stat(); time.sleep(600)"
    run(pipeline, Program(names.GENERATOR, (sys.executable, "-c", script, str(mended)), start_retries=0))
    deadline = time.monotonic() + 10
    while pipeline.supervisor.processes()[0].state != "FATAL":
        assert time.monotonic() < deadline
    mended.touch()
    pipeline._start_given_up()
    while pipeline.supervisor.processes()[0].state != "RUNNING":
        assert time.monotonic() < deadline


def test_await_healthy_names_what_is_missing_and_leaves_it_running(pipeline: Pipeline) -> None:
    run(pipeline)
    seen: list[tuple[Component, ...]] = []
    impatient = Pipeline(pipeline.settings.model_copy(update={"ready_seconds": 0}))
    with pytest.raises(ComponentFailed, match=r"job alerting: not submitted yet.*pipeline logs.*pipeline down"):
        impatient.await_healthy(seen.append)
    assert seen
    assert pipeline.is_running()


def test_await_healthy_ended_by_somebody_else_raises_not_running(pipeline: Pipeline) -> None:
    run(pipeline)
    with pytest.raises(NotRunning):
        pipeline.await_healthy(lambda components: pipeline.supervisor.stop(seconds=5))


def test_stop_ends_everything_and_says_whether_anything_ran(pipeline: Pipeline) -> None:
    run(pipeline)
    assert pipeline.stop()
    assert pipeline.supervisor.leftovers() == ()
    assert not pipeline.stop()


def test_stop_after_its_supervisor_died_ends_the_orphans(pipeline: Pipeline) -> None:
    run(pipeline)
    os.kill(int((pipeline.settings.paths.run / "supervisord.pid").read_text()), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while pipeline.is_running():
        assert time.monotonic() < deadline
    assert pipeline.stop()
    assert pipeline.supervisor.leftovers() == ()


def test_stop_waits_for_another_command_on_the_same_pipeline(pipeline: Pipeline) -> None:
    run(pipeline)
    other = multiprocessing.get_context("spawn").Process(target=_stop, args=(pipeline.settings,))
    with pipeline._alone():
        other.start()
        other.join(2)
        assert other.is_alive()
        assert pipeline.is_running()
    other.join(20)
    assert other.exitcode == 0
    assert not pipeline.is_running()


def _stop(settings: Settings) -> None:
    assert Pipeline(settings).stop()


def test_alone_folder_removed_while_waiting_is_made_anew_for_its_owner_only(pipeline: Pipeline) -> None:
    with pipeline._alone():
        pipeline.settings.paths.run.joinpath("pipeline.lock").unlink()
        with pipeline._alone():  # a lock on a removed file holds nobody off, so this is another one
            assert (pipeline.settings.paths.run / "pipeline.lock").is_file()
    assert pipeline.settings.paths.root.stat().st_mode & 0o777 == 0o700


def test_alone_state_folder_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(MachineError, match="PIPELINE_STATE=<folder>"),
        Pipeline(Settings(state=tmp_path / "file"))._alone(),
    ):
        pass


@pytest.mark.parametrize("command", ["start", "stop", "reset"])
def test_pipeline_that_something_else_runs_is_left_to_it(command: str, tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(state=tmp_path, supervised=False))
    act: dict[str, Callable[[], object]] = {
        "start": lambda: pipeline.start(generator=False),
        "stop": pipeline.stop,
        "reset": pipeline.reset,
    }
    with pytest.raises(ConfigError, match=r"supervised: .*docker compose up"):
        act[command]()


def test_components_that_something_else_runs_are_asked_all_the_same(tmp_path: Path) -> None:
    pipeline = Pipeline(Settings(state=tmp_path, supervised=False))
    Addresses.local(state=pipeline.settings.paths, kafka_port=1, flink_rest_port=1, dagster_port=1).write()
    found = {component.name: component.health for component in pipeline.components()}
    assert found[names.BROKER] is found[names.JOBMANAGER] is Health.STARTING
    assert names.JOB_KEEPER not in found


def test_reset_right_after_stop_leaves_nothing(pipeline: Pipeline) -> None:
    run(pipeline)
    pipeline.stop()
    pipeline.reset()
    assert not pipeline.settings.paths.root.exists()


@pytest.mark.parametrize("after", range(1, 6))
def test_reset_interrupted_leaves_no_tables_without_rows_to_be_filled_and_is_finished_by_the_next(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A log with new, empty tables would be read on from a checkpoint, and their rows be missing."""
    paths = pipeline.settings.paths
    for folder in (paths.kafka, paths.checkpoints, paths.warehouse, paths.dagster, paths.run, paths.logs):
        folder.mkdir(parents=True)
    (paths.run / "pipeline.lock").touch()
    (paths.root / "leftover.txt").touch()
    calls, remove = iter(range(1, 100)), shutil.rmtree

    def rmtree(path: Path) -> None:
        if next(calls) == after:
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", rmtree)
        with pytest.raises(KeyboardInterrupt):
            pipeline.reset()
    assert paths.warehouse.exists() or not (paths.kafka.exists() or paths.flink.exists())
    assert pipeline.is_removable()
    pipeline.reset()
    assert not paths.root.exists()


def test_reset_folder_in_which_an_interruption_has_left_no_file_is_removed(pipeline: Pipeline) -> None:
    pipeline.settings.paths.run.mkdir(parents=True)
    pipeline.reset()
    assert not pipeline.settings.paths.root.exists()


def test_reset_while_orphans_write_is_refused(pipeline: Pipeline) -> None:
    run(pipeline)
    os.kill(int((pipeline.settings.paths.run / "supervisord.pid").read_text()), signal.SIGKILL)
    with pytest.raises(PipelineError, match="pipeline down"):
        pipeline.reset()
    assert pipeline.settings.paths.root.exists()


def test_interruption_while_ending_still_ends_everything(pipeline: Pipeline) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    run(pipeline, Program(names.GENERATOR, (sys.executable, "-c", deaf), stop_seconds=60))
    deadline = time.monotonic() + 10
    script = (
        "import sys; from contracts.settings import Settings; from operations.signals import *;"
        "from operations.embedded.supervision import Supervisor\n"
        "raise_interrupted()\n"
        "try: Supervisor(Settings(state=sys.argv[1]).paths).stop(seconds=60)\n"
        "except Interrupted: sys.exit(130)"
    )
    command = [sys.executable, "-c", script, str(pipeline.settings.paths.root)]
    with subprocess.Popen(command, cwd=PROJECT) as ending:
        while pipeline.supervisor.processes()[0].state != "STOPPING":
            assert time.monotonic() < deadline
        ending.send_signal(signal.SIGINT)
        assert ending.wait(timeout=20) == 130
    assert pipeline.supervisor.leftovers() == ()
