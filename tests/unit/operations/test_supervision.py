"""The real supervisord over tiny programs: what dies is restarted, what is stopped is gone, in folders of any name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from supervisor import loggers

from contracts.errors import ComponentFailed
from contracts.paths import StatePaths
from contracts.sessions import SESSION_VARIABLE
from operations.embedded import supervisord
from operations.embedded.obituaries import ALIVE, Obituary
from operations.embedded.supervision import ProcessState, Program, Supervisor

SLEEP = (sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)")
# Ends at once when asked, but leaves a child that does not listen.
PARENT = (
    sys.executable, "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import signal, time;"
    " signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)']); time.sleep(600)",
)  # fmt: skip
DEAF = (
    sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)  # fmt: skip
Found = TypeVar("Found")


class Nest:
    """A supervisor of one state folder, as `pipeline up` uses it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.paths = StatePaths(root.resolve())
        self.supervisor = Supervisor(self.paths)
        self.environment = {**os.environ, "PIPELINE_STATE": str(self.paths.root), SESSION_VARIABLE: "test"}

    def start(self, *programs: Program) -> None:
        self.supervisor.start(programs, self.environment)

    def state(self, name: str) -> ProcessState:
        return next(found for found in self.supervisor.processes() if found.name == name)

    def log(self, name: str) -> str:
        path = self.paths.logs / f"{name}.log"
        return path.read_text(encoding="utf-8") if path.exists() else ""


def eventually(look: Callable[[], Found], *, seconds: float = 20) -> Found:
    """What `look` returns, once that is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
    return found


def running(processes: tuple[psutil.Process, ...]) -> list[psutil.Process]:
    """Those that have not ended; an orphan that nobody has waited for yet has."""
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def nests() -> Iterator[Callable[[Path], Nest]]:
    """Makes nests, and ends them whatever the test did."""
    made: list[Nest] = []

    def make(root: Path) -> Nest:
        made.append(Nest(root))
        return made[-1]

    yield make
    for nest in made:
        nest.supervisor.stop(seconds=0)
        assert nest.supervisor.leftovers() == ()


@pytest.fixture
def nest(nests: Callable[[Path], Nest], tmp_path: Path) -> Nest:
    return nests(tmp_path / "state")


def test_start_supervisor_that_can_write_no_line_goes_on_and_starts_again_what_dies(nest: Nest) -> None:
    """Have no file grow, as on a full disk."""
    nest.start(Program("worker", SLEEP))
    supervisor = psutil.Process(int((nest.paths.run / "supervisord.pid").read_text()))
    supervisor.rlimit(psutil.RLIMIT_FSIZE, (1, 1))
    size = (nest.paths.logs / "supervisor.log").stat().st_size
    for _ in range(2):
        pid = eventually(lambda: nest.state("worker").pid)
        os.kill(pid or 0, signal.SIGKILL)
        eventually(partial(_is_another, nest, pid))
    assert nest.supervisor.is_running()
    assert (nest.paths.logs / "supervisor.log").stat().st_size == size


def _is_another(nest: Nest, was: int | None) -> bool:
    return nest.state("worker").pid not in (None, was)


def test_roll_over_new_file_that_cannot_be_begun_is_begun_by_the_next_line(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    handler = loggers.RotatingFileHandler(str(folder / "a.log"), maxBytes=1)
    handler.stream.write(b"full")
    folder.rename(tmp_path / "away")
    supervisord.roll_over(handler)
    assert handler.stream.closed
    (tmp_path / "away").rename(folder)
    supervisord.roll_over(handler)
    handler.stream.write(b"next")
    handler.close()
    assert (folder / "a.log").read_bytes().endswith(b"next")


def test_start_wanted_programs_run_and_unwanted_wait(nest: Nest) -> None:
    nest.start(Program("a", SLEEP), Program("b", SLEEP, wanted=False))
    eventually(lambda: "awake" in nest.log("a"))
    assert nest.state("a").state in ("STARTING", "RUNNING")
    assert nest.state("a").pid
    assert nest.state("b") == ProcessState("b", "STOPPED", None, 0, "")
    nest.supervisor.start_program("b")
    nest.supervisor.start_program("b")  # as two `up` at once do
    eventually(lambda: "awake" in nest.log("b"))


def test_start_killed_program_is_started_again(nest: Nest) -> None:
    nest.start(Program("a", SLEEP))
    eventually(lambda: "awake" in nest.log("a"))
    first = nest.state("a").pid
    assert first
    os.kill(first, signal.SIGKILL)
    eventually(lambda: nest.state("a").pid not in (first, None))
    eventually(lambda: nest.log("a").count("awake") == 2)


def test_processes_program_that_cannot_be_started_is_reported_with_the_reason(nest: Nest) -> None:
    nest.start(Program("a", ("/no/such/program",)))
    assert "/no/such/program" in eventually(lambda: nest.state("a").complaint)
    assert nest.state("a").state in ("BACKOFF", "FATAL")


def test_start_program_that_ends_at_once_is_given_up_after_its_tries_with_its_last_words(nest: Nest) -> None:
    nest.start(Program("a", (sys.executable, "-c", "import sys; sys.exit('the disk is full')"), start_retries=2))
    eventually(lambda: nest.state("a").state == "FATAL")
    assert nest.state("a").obituary == Obituary(3, "exit status 1")
    assert nest.state("a").last_words == "the disk is full"


def test_start_program_killed_after_its_start_is_counted_and_runs(nest: Nest) -> None:
    nest.start(Program("a", SLEEP, start_seconds=0))
    eventually(lambda: "awake" in nest.log("a"))
    assert nest.state("a").obituary == ALIVE
    killed = nest.state("a").pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: nest.state("a").pid not in (None, killed))
    assert (nest.state("a").state, nest.state("a").obituary) == ("RUNNING", Obituary(1, "terminated by SIGKILL"))


def test_programs_are_those_it_was_started_with(nest: Nest) -> None:
    assert nest.supervisor.programs() == ()
    nest.start(Program("a", SLEEP), Program("b", SLEEP, wanted=False))
    assert nest.supervisor.programs() == ("a", "b")


def test_start_nice_program_runs_at_lower_priority(nest: Nest) -> None:
    nest.start(Program("a", SLEEP, nice=7))
    eventually(lambda: "awake" in nest.log("a"))
    assert psutil.Process(nest.state("a").pid).nice() >= 7


def test_start_without_the_module_of_the_supervisor_fails_and_names_the_log(nest: Nest) -> None:
    nest.environment["PYTHONHOME"] = "/nowhere"
    with pytest.raises(ComponentFailed, match=r"supervisor\.out"):
        nest.start(Program("a", SLEEP))


def test_stop_ends_supervisor_programs_and_their_children_and_the_socket(nest: Nest) -> None:
    nest.start(Program("a", PARENT), Program("b", SLEEP))
    eventually(lambda: len(nest.supervisor.leftovers()) >= 4)  # the supervisor, a, its child, b
    everything = nest.supervisor.leftovers()
    nest.supervisor.stop(seconds=1)
    assert running(everything) == []
    assert not nest.supervisor.is_running()
    assert nest.supervisor.processes() == ()
    assert list(nest.paths.run.glob("*.sock*")) == []


def test_stop_asks_all_at_once_so_that_they_end_together(nest: Nest) -> None:
    nest.start(*(Program(f"p{number}", SLEEP) for number in range(8)))
    eventually(lambda: all("awake" in nest.log(f"p{number}") for number in range(8)))
    started = time.monotonic()
    nest.supervisor.stop(seconds=20)
    assert time.monotonic() - started < 5  # one after the other takes 8 s
    assert (nest.paths.logs / "supervisor.log").read_text().count("terminated by SIGTERM") == 8


def test_stop_program_that_does_not_listen_is_killed_in_time(nest: Nest) -> None:
    nest.start(Program("a", DEAF, stop_seconds=60))
    eventually(lambda: "deaf" in nest.log("a"))
    started = time.monotonic()
    nest.supervisor.stop(seconds=0.5)
    assert time.monotonic() - started < 5
    assert nest.supervisor.leftovers() == ()


def test_stop_after_the_supervisor_was_killed_finds_its_orphans_by_their_environment(nest: Nest) -> None:
    nest.start(Program("a", SLEEP), Program("b", PARENT))
    eventually(lambda: len(nest.supervisor.leftovers()) >= 4)
    pid = int((nest.paths.run / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not nest.supervisor.is_running())
    orphans = eventually(nest.supervisor.leftovers)
    assert pid not in {process.pid for process in orphans}
    nest.supervisor.stop(seconds=1)
    assert running(orphans) == []


def test_start_after_a_crash_replaces_stale_socket_and_pid_file(nest: Nest) -> None:
    nest.start(Program("a", SLEEP))
    os.kill(int((nest.paths.run / "supervisord.pid").read_text()), signal.SIGKILL)
    eventually(lambda: not nest.supervisor.is_running())
    nest.supervisor.stop(seconds=0)
    (nest.paths.run / "supervisor.sock").touch()
    (nest.paths.run / "supervisord.pid").write_text("1\n")
    nest.start(Program("a", SLEEP))
    assert nest.supervisor.is_running()


def test_leftovers_of_another_pipeline_are_not_ours(nest: Nest, nests: Callable[[Path], Nest], tmp_path: Path) -> None:
    other = nests(tmp_path / "other")
    other.start(Program("a", SLEEP))
    eventually(other.supervisor.leftovers)
    assert nest.supervisor.leftovers() == ()
    assert nest.supervisor.processes() == ()
    nest.supervisor.stop(seconds=0)
    assert other.supervisor.is_running()


def test_leftovers_shell_with_the_printed_addresses_is_not_one(nest: Nest) -> None:
    environment = {name: value for name, value in nest.environment.items() if name != SESSION_VARIABLE}
    with subprocess.Popen(SLEEP, env=environment, stdout=subprocess.DEVNULL) as shell:
        try:
            assert nest.supervisor.leftovers() == ()
        finally:
            shell.kill()


@pytest.mark.parametrize("name", ["100%", "%(here)s", "with blank", "ünï-日本", 'quote\'s "both"', "x" * 120])
def test_start_state_folder_of_any_name_works(nests: Callable[[Path], Nest], tmp_path: Path, name: str) -> None:
    nest = nests(tmp_path / name)
    nest.start(Program("a", (sys.executable, "-c", f"print({name!r}, flush=True); import time; time.sleep(600)")))
    eventually(lambda: name in nest.log("a"))
    # Another command, as `pipeline status` is, finds the same supervisor.
    assert [found.name for found in Supervisor(nest.paths).processes()] == ["a"]
    nest.supervisor.stop(seconds=5)
    assert not os.path.lexists(nest.paths.run / "supervisor.sock")


def test_start_long_state_path_puts_the_socket_into_a_private_folder_and_removes_it(
    nests: Callable[[Path], Nest], tmp_path: Path
) -> None:
    nest = nests(tmp_path / ("x" * 120))
    nest.start(Program("a", SLEEP))
    socket = Path(os.path.realpath(nest.paths.run / "supervisor.sock"))
    assert nest.paths.root not in socket.parents
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    nest.supervisor.stop(seconds=5)
    assert not socket.parent.exists()
