"""Ctrl-C and polite requests to end, as one exception, and how to hold them back from what must not be torn apart."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP. Not KeyboardInterrupt, which the command-line library turns into exit code 1."""


def raise_interrupted() -> None:
    """From now on these signals raise Interrupted; not SIGHUP where our parent has it ignored, as nohup does."""
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted


@contextmanager
def held_back() -> Iterator[None]:
    """What arrives in this block takes effect at its end. For the main thread, and for blocks of seconds at most."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
