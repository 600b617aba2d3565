"""Failpoints: a run is disturbed right before, within or after a chosen call that removes or writes something.

A disturbed run is a child of this process, which ends with it: an exception and Ctrl-C end a process as SIGKILL does,
only that it may tidy up first.
"""

import errno
import io
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn
from unittest.mock import patch

from operations.signals import Interrupted, raise_interrupted
from tests.changing_calls import Call
from tests.recompiled import BEFORE, watched

WITHIN = "within"
# How a child ends; one that is killed with the signal's negative number.
DONE, FAILED, NOT_REACHED, INTERRUPTED = 0, 1, 99, 130

Run = Callable[[], object]


class Disturbance(StrEnum):
    """What happens to a run: an error of the disk, Ctrl-C as the commands receive it, or the end of the process."""

    ERROR = "error"
    SIGINT = "sigint"
    SIGKILL = "sigkill"

    def strike(self) -> None:
        """Let it happen now."""
        match self:
            case Disturbance.ERROR:
                raise OSError(errno.EIO, "a failpoint")
            case Disturbance.SIGINT:
                signal.raise_signal(signal.SIGINT)
            case Disturbance.SIGKILL:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Failpoint:
    """A call, one side of it, and at which of the run's visits there."""

    call: Call
    side: str
    visit: int

    def __str__(self) -> str:
        return f"{self.side} {self.call} (visit {self.visit})"


def failpoints_of(run: Run, modules: Iterable[str]) -> tuple[Failpoint, ...]:
    """Carry out `run`; return the failpoints in `modules` that it came by, in order."""
    found: list[Failpoint] = []
    with _Watch(found.append) as watch, watched(modules, watch):
        run()
    return tuple(found)


def disturbed(run: Run, modules: Iterable[str], failpoint: Failpoint, disturbance: Disturbance) -> int:
    """Carry out `run` in a child that is disturbed at `failpoint`; return how the child ended."""
    reached = False

    def strike(found: Failpoint) -> None:
        nonlocal reached
        if found == failpoint:
            reached = True
            disturbance.strike()

    def whole() -> int:
        with _Watch(strike) as watch, watched(modules, watch):
            run()
        return DONE if reached else NOT_REACHED

    return _in_child(whole)


def _in_child(run: Callable[[], int]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        _end_with(run)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end_with(run: Callable[[], int]) -> NoReturn:
    """End this process with what `run` returns, at once: nothing else of its parent is to be carried out in it."""
    code = FAILED
    try:
        raise_interrupted()
        code = run()
    except Interrupted:
        code = INTERRUPTED
    finally:
        if code == FAILED:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)


class _Watch(ExitStack):
    """Counts the visits to each side of each call, and tells `on` of the failpoint that is reached."""

    def __init__(self, on: Callable[[Failpoint], None]) -> None:
        super().__init__()
        self._on = on
        self._visits: Counter[tuple[Call, str]] = Counter()

    def __call__(self, call: Call, side: str) -> None:
        """Take note that `side` of `call` is reached."""
        self.close()
        self._reach(call, side)
        if side == BEFORE and call.in_steps:
            self.enter_context(_in_its_middle(lambda: self._reach(call, WITHIN)))

    def _reach(self, call: Call, side: str) -> None:
        self._visits[call, side] += 1
        self._on(Failpoint(call, side, self._visits[call, side]))


@contextmanager
def _in_its_middle(act: Callable[[], None]) -> Iterator[None]:
    """Carry out `act` once a file is opened for writing and still empty, or one of several is removed or copied."""
    steps = 0

    def second(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps == 2:
                act()
            return real(*arguments, **options)

        return step

    def emptied(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if "w" in mode:
            real_open(path, mode).close()
            act()
        return real_open(path, mode, *arguments, **options)

    real_open = io.open
    with ExitStack() as patches:
        for module, name in ((os, "unlink"), (os, "rmdir"), (shutil, "copyfile")):
            patches.enter_context(patch.object(module, name, second(getattr(module, name))))
        patches.enter_context(patch.object(io, "open", emptied))
        yield
