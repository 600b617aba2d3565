"""What a process takes: with its children, and whatever becomes of them meanwhile."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from operations.memory import memory_mb

_HOLD = "import time; held = bytearray(b'x' * {mb} * 2**20); print('ready', flush=True); time.sleep(60)"


@contextmanager
def _holding(mb: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLD.format(mb=mb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_memory_mb_process_with_a_child_counts_both() -> None:
    alone = memory_mb(os.getpid())
    with _holding(64):
        both = memory_mb(os.getpid())
    assert alone
    assert both
    assert both >= alone + 60  # a few shared pages count for less when two share them


def test_memory_mb_child_that_ends_while_it_is_asked_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    with _holding(1) as short:
        ended = psutil.Process(short.pid)
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive: [ended])
    with _holding(64) as process:
        assert (memory_mb(process.pid) or 0) >= 64


def test_memory_mb_process_that_has_ended_is_none() -> None:
    with _holding(1) as process:
        pass
    assert memory_mb(process.pid) is None
