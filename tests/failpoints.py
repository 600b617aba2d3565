"""Failpoints: a run is disturbed right before, within or after a chosen call that removes or writes something.

The calls are found in the code, and nothing in the product knows of it.
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from unittest.mock import patch

from contracts.errors import PipelineError
from operations.signals import Interrupted, raise_interrupted
from tests.changing_calls import Call
from tests.recompiled import BEFORE, watched

WITHIN = "within"

Run = Callable[[], object]


class Disturbance(StrEnum):
    """Disturbance of a run: an error of the disk, Ctrl-C as the commands receive it, or the end of the process."""

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


def disturbed(run: Run, modules: Iterable[str], failpoint: Failpoint, disturbance: Disturbance) -> None:
    """Carry out `run`, disturbed at `failpoint`: by an error or Ctrl-C in this process, by SIGKILL in a child."""
    reached = False

    def strike(found: Failpoint) -> None:
        nonlocal reached
        if found == failpoint:
            reached = True
            disturbance.strike()

    def act() -> None:
        with _Watch(strike) as watch, watched(modules, watch):
            run()

    if disturbance is Disturbance.SIGKILL:
        _be_killed(act)
        return
    with suppress(OSError, PipelineError, ExceptionGroup, Interrupted), _signals_as_in_a_command():
        act()
    assert reached, f"{failpoint} was not reached"


def _be_killed(act: Run) -> None:
    """Carry out `act` in a child that is killed by it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        try:
            act()
        finally:  # nothing else of this process is to be carried out there
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == -signal.SIGKILL, f"the child was not killed, and ended with {code}"


@contextmanager
def _signals_as_in_a_command() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    raise_interrupted()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
