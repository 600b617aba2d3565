"""How fast records are sent: a token bucket. It knows time only through the clock and the sleep it is given."""

import time
from collections.abc import Callable
from typing import Protocol

# Waiting is cut into slices, so that a signal, a delivery report or the status line never waits longer.
SLICE_SECONDS = 0.1
# Above 50 records a second those of 20 ms go together. To encode, note and send takes as long for one record as for
# ten: sent as they came due, 1,000 a second held a whole core.
TOGETHER_SECONDS = 0.02
_SHORTEST_SLEEP_SECONDS = 0.001


class Pace(Protocol):
    """Says how many records may be sent now."""

    def take(self, most: int) -> int:
        """1 to `most`, waiting for the first for at most SLICE_SECONDS; 0 where none came in that time."""

    def change(self, factor: float) -> None:
        """From now on `factor` times the rate; 0 is a pause."""


class TokenBucket:
    """`rate` records a second, evenly spaced: at 10 a second one each 100 ms, not ten at once.

    What a pause of the process cost is caught up, up to `burst_seconds` of traffic, so the rate holds over any minute;
    longer pauses (a broker away) are not, so the traffic resumes as it was and not as a flood.
    """

    def __init__(
        self,
        rate: float,
        *,
        burst_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._usual, self._rate, self._burst_seconds = rate, rate, burst_seconds
        self._clock, self._sleep = clock, sleep
        self._tokens = 0.0
        self._filled_at = clock()

    def take(self, most: int) -> int:
        """See Pace."""
        self._fill()
        wanted = min(most, max(1.0, self._rate * TOGETHER_SECONDS))
        if self._tokens < wanted:
            wait = (wanted - self._tokens) / self._rate if self._rate else SLICE_SECONDS
            self._sleep(min(max(wait, _SHORTEST_SLEEP_SECONDS), SLICE_SECONDS))
            self._fill()
        taken = min(most, int(self._tokens))
        self._tokens -= taken
        return taken

    def change(self, factor: float) -> None:
        """See Pace."""
        self._fill()
        self._rate = self._usual * factor

    def _fill(self) -> None:
        now = self._clock()
        capacity = 1 + self._rate * self._burst_seconds
        self._tokens = min(capacity, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


class Unlimited:
    """As fast as the machine goes."""

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep, self._paused = sleep, False

    def take(self, most: int) -> int:
        """See Pace."""
        if self._paused:
            self._sleep(SLICE_SECONDS)
            return 0
        return most

    def change(self, factor: float) -> None:
        """See Pace. Only a pause makes a difference."""
        self._paused = factor == 0


def pace_of(rate: float) -> Pace:
    """A pace of `rate` records a second; 0 means unlimited."""
    return TokenBucket(rate) if rate else Unlimited()
