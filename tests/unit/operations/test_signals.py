"""Interruptions become one exception, and wait where they would tear something apart."""

import signal
from collections.abc import Iterator

import pytest

from operations.signals import Interrupted, held_back, raise_interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Begin with Python's own handlers, whatever this process inherited: nohup has SIGHUP ignored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_raise_interrupted_each_signal_raises(number: signal.Signals) -> None:
    raise_interrupted()
    with pytest.raises(Interrupted):
        signal.raise_signal(number)


def test_raise_interrupted_signal_ignored_by_nohup_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise_interrupted()
    signal.raise_signal(signal.SIGHUP)
    with held_back():
        signal.raise_signal(signal.SIGHUP)


def test_held_back_interruption_takes_effect_at_the_end_once() -> None:
    raise_interrupted()
    done = []

    def interrupted_work() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("all")

    with pytest.raises(Interrupted):
        interrupted_work()
    assert done == ["all"]
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGINT)
