"""The suite's own check that it leaves nothing behind, tried on small runs of pytest that do leave something."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contracts.paths import PROJECT
from tests.plugins.companion import RUN_VARIABLE

_PASSES = "def test_passes():\n    assert True\n"
_LEAVES = """
import subprocess, sys, pathlib
def test_leaves_a_process():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    pathlib.Path("pid").write_text(str(child.pid))
"""
_WAITS = _LEAVES + "    child.wait()\n"
_LISTENS = """
import socket
held = socket.create_server(("127.0.0.1", 0))
def test_listens():
    assert held
"""


def _run(folder: Path, test: str, *options: str) -> "subprocess.Popen[str]":
    """Start a run of pytest, by itself, over the file `test`."""
    (folder / "test_it.py").write_text(test)
    environment = {name: value for name, value in os.environ.items() if name not in (RUN_VARIABLE, "PYTEST_ADDOPTS")}
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.plugins.leftovers", "-p", "no:cacheprovider", *options],
        cwd=folder, env={**environment, "PYTHONPATH": str(PROJECT), "TMPDIR": str(folder)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def _pid(folder: Path) -> int:
    """Wait until the test in `folder` has started its process; the process's id."""
    deadline = time.monotonic() + 30
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int((folder / "pid").read_text())


def _await_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the process goes on"
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if (tmp_path / "pid").exists() and psutil.pid_exists(_pid(tmp_path)):
        psutil.Process(_pid(tmp_path)).kill()


def test_run_that_leaves_nothing_says_so_and_passes(folder: Path) -> None:
    process = _run(folder, _PASSES)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "left behind: no process, no listening port, no file" in said


def test_run_that_leaves_a_process_fails_names_it_and_ends_it(folder: Path) -> None:
    process = _run(folder, _LEAVES)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert f"process {_pid(folder)}: {sys.executable} -c import time" in said
    _await_end(_pid(folder))


def test_run_that_still_listens_fails_and_names_the_port(folder: Path) -> None:
    process = _run(folder, _LISTENS, "--numprocesses=1")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "gw0 still listened on the ports [" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_run_that_is_interrupted_or_killed_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    process = _run(folder, _WAITS)
    pid = _pid(folder)
    process.send_signal(number)
    process.communicate(timeout=60)
    _await_end(pid)
    assert process.returncode in (2, -signal.SIGKILL)


def test_run_that_is_killed_removes_its_folder(folder: Path) -> None:
    process = _run(folder, _WAITS)
    _pid(folder)
    (own,) = folder.glob("run-*")
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while own.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
