"""Holds the suite to leaving nothing behind: no process, no listening port, no file outside its temporary folder.

Every process that a test starts inherits the variable TEST_RUN, which names this run, and TMPDIR, a folder of this run.
At the end of the run the processes of that name are listed, and so are new files in the project and in the places that
its libraries use in the home folder. Whatever is found fails the run, and is ended. A companion process does the same
when the run itself is killed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from contracts.paths import PROJECT
from tests.plugins.companion import RUN_VARIABLE, end_processes, processes_of, remove

# Processes that were asked to end have this many seconds to do so.
_ENDING_SECONDS = 3
# What tools keep between runs on purpose; all of it is in .gitignore.
_CACHES = frozenset(
    {".git", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".uv-cache", "uv"}
)
# Where libraries of this project write if nobody tells them otherwise.
_HOME_PLACES = (".dagster", ".duckdb", ".great_expectations", ".gx", ".flink", ".kafka", ".pyiceberg.yaml")


@dataclass
class Leftovers:
    """The run's name and folder, and what was there before it."""

    run: str
    folder: Path
    before: frozenset[Path]
    companion: "subprocess.Popen[bytes]"
    found: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls) -> "Leftovers":
        """Name the run in the environment, and start the companion that cleans up if the run is killed."""
        run = uuid4().hex
        # Temporary folders of failed tests stay where pytest keeps them; what else goes to TMPDIR goes with the run.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        folder = Path(tempfile.mkdtemp(prefix="run-"))
        companion = subprocess.Popen(
            [sys.executable, "-m", "tests.plugins.companion", run, str(folder)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        os.environ[RUN_VARIABLE] = run
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        # A server of PostgreSQL runs as another user.
        folder.chmod(0o755)
        return cls(run, folder, frozenset(_files()), companion)

    def look(self) -> None:
        """Note every process and file that the run leaves, after its processes have had time to end."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while (left := processes_of(self.run)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.found += [f"process {process.pid}: {_command(process)}" for process in left]
        # Beside a developer's run somebody writes files; beside that of a machine nobody does.
        if "CI" in os.environ:
            self.found += [f"file {path}" for path in sorted(set(_files()) - self.before)]

    def end(self) -> None:
        """End what is left of the run, and the companion."""
        end_processes(self.run)
        remove(self.folder)
        assert self.companion.stdin
        self.companion.stdin.write(b"nothing is left\n")
        self.companion.stdin.close()
        self.companion.wait(timeout=10)
        del os.environ[RUN_VARIABLE]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "(ended meanwhile)"


def _files() -> Iterator[Path]:
    for folder, folders, files in os.walk(PROJECT):
        folders[:] = [name for name in folders if name not in _CACHES]
        yield from (Path(folder, name) for name in files if not name.startswith(".coverage"))
    yield from (path for name in _HOME_PLACES if (path := Path.home() / name).exists())


def listening_ports() -> list[int]:
    """List the ports on which this process listens."""
    return [each.laddr.port for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN]


_STASH = pytest.StashKey[Leftovers]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if RUN_VARIABLE not in os.environ and not config.option.collectonly:
        config.stash[_STASH] = Leftovers.begin()


def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of pytest-xdist says of itself."""
    leftovers = node.config.stash.get(_STASH, None)
    ports = getattr(node, "workeroutput", {}).get("listening_ports", [])
    if leftovers and ports:
        leftovers.found.append(f"{node.gateway.id} still listened on the ports {ports}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["listening_ports"] = listening_ports()
        return
    if leftovers := config.stash.get(_STASH, None):
        leftovers.look()
        if leftovers.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    leftovers = config.stash.get(_STASH, None)
    if leftovers is None:
        return
    if leftovers.found:
        terminalreporter.section("left behind, and ended or to be removed", red=True, bold=True)
        for line in leftovers.found:
            terminalreporter.line(line)
    else:
        terminalreporter.line("left behind: no process, no listening port, no file")


def pytest_unconfigure(config: pytest.Config) -> None:
    if leftovers := config.stash.get(_STASH, None):
        leftovers.end()
        del config.stash[_STASH]
