"""The circuit breaker before the broker: whether new records may be handed over, and when to ask again.

Closed, records are sent. Open, none are, until a wait is over that doubles from 1 s to 10 s; then half open, while one
request probes the broker. What librdkafka already holds is its affair in every state: it keeps and delivers it.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

import pybreaker
import structlog

_log = structlog.get_logger()

# Records that fail together are a batch of some hundred at high rates; less is bad luck of single records.
FAILURES = 100
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 10.0


class State(StrEnum):
    """The states of a circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


_STATES = {
    pybreaker.STATE_CLOSED: State.CLOSED,
    pybreaker.STATE_OPEN: State.OPEN,
    pybreaker.STATE_HALF_OPEN: State.HALF_OPEN,
}


class _Failed(Exception):
    """A delivery or a probe failed. Its text says why; it never leaves this module."""


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, changed: Callable[[State], None]) -> None:
        self._changed = changed

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        self._changed(_STATES[new_state.name])


def _half_to_whole() -> float:
    return random.uniform(0.5, 1.0)


class Circuit:
    """Opens by `trip`, or by 100 failures in a row told to `failed`; closes when `probe` finds the broker well.

    `probe` returns None, or why it failed; `under_way` the records handed over and not settled, for the log. `jitter`
    is the part of a wait that is waited: several producers must not knock at a broker all at once when it comes back.
    To be read only are `state`; `since`, from when on it is closed, or is not (UTC); and `reason`, why it opened last
    (empty: never).
    """

    def __init__(
        self,
        probe: Callable[[], str | None],
        under_way: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = _half_to_whole,
    ) -> None:
        self._probe, self._under_way, self._clock, self._jitter = probe, under_way, clock, jitter
        self.state, self.since, self.reason = State.CLOSED, datetime.now(UTC), ""
        self._wait, self._probe_at, self._opened_at = _FIRST_WAIT_SECONDS, 0.0, 0.0
        self._watchers: list[Callable[[], None]] = []
        # Its own timer reads the wall clock, which may jump, so that the waits are counted here.
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES, listeners=[_Listener(self._changed)], throw_new_error_on_trip=False
        )

    def watch(self, watcher: Callable[[], None]) -> None:
        """Lets `watcher` be called after each transition."""
        self._watchers.append(watcher)

    def allows(self) -> bool:
        """Whether records may be handed over. Where the circuit is open and its wait is over, probes first."""
        if self.state is State.CLOSED:
            return True
        if self._clock() < self._probe_at:
            return False
        self._breaker.half_open()
        with suppress(_Failed):
            self._breaker.call(self._try)
        return self._is_closed()

    def trip(self, reason: str) -> None:
        """Opens it, where it is closed."""
        if self.state is State.CLOSED:
            self.reason = reason
            self._breaker.open()

    def failed(self, count: int, reason: str) -> None:
        """Tells of `count` deliveries in a row that failed."""
        if self.state is not State.CLOSED:
            return
        self.reason = reason
        for _ in range(min(count, FAILURES - self._breaker.fail_counter)):
            with suppress(_Failed):
                self._breaker.call(self._fail)

    def delivered(self) -> None:
        """Tells of a delivery. An open circuit then probes at once: the broker is back.

        Only this ends the growth of the waits: a broker that answers probes and takes no record is not well.
        """
        self._wait = _FIRST_WAIT_SECONDS
        if self.state is not State.CLOSED:
            self._probe_at = self._clock()
        elif self._breaker.fail_counter:
            self._breaker.call(lambda: None)

    def _is_closed(self) -> bool:
        return self.state is State.CLOSED

    def _try(self) -> None:
        if (reason := self._probe()) is not None:
            self.reason = reason
            raise _Failed(reason)

    def _fail(self) -> None:
        raise _Failed(self.reason)

    def _changed(self, state: State) -> None:
        before, self.state = self.state, state
        if State.CLOSED in (before, state):
            self.since = datetime.now(UTC)
        for watcher in self._watchers:
            watcher()
        match state:
            case State.OPEN:
                if before is State.CLOSED:
                    self._opened_at = self._clock()
                seconds = self._wait * self._jitter()
                self._probe_at = self._clock() + seconds
                self._wait = min(2 * self._wait, _LONGEST_WAIT_SECONDS)
                _log.warning(
                    "circuit_open", reason=self.reason, under_way=self._under_way(), probe_in_seconds=round(seconds, 2)
                )
            case State.HALF_OPEN:
                _log.info("circuit_half_open", under_way=self._under_way())
            case State.CLOSED:
                seconds = self._clock() - self._opened_at
                _log.info("circuit_closed", under_way=self._under_way(), open_seconds=round(seconds, 1))
