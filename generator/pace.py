"""How fast records are sent: a token bucket. It knows time only through the clock and the sleep it is given."""

import time
from collections.abc import Callable
from typing import Protocol

# Waiting is cut into slices, so that a signal, a delivery report or the status line never waits longer.
SLICE_SECONDS = 0.1
# Sleeps shorter than this cost more than they space out: above 1,000 records a second some go together.
_SHORTEST_SLEEP_SECONDS = 0.001


class Pace(Protocol):
    """Says how many records may be sent now."""

    def take(self, most: int) -> int:
        """1 to `most`, waiting for the first for at most SLICE_SECONDS; 0 where none came in that time."""


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
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._capacity = 1 + rate * burst_seconds
        self._tokens = 0.0
        self._filled_at = clock()

    def take(self, most: int) -> int:
        """See Pace."""
        self._fill()
        if self._tokens < 1:
            wait = (1 - self._tokens) / self._rate
            self._sleep(min(max(wait, _SHORTEST_SLEEP_SECONDS), SLICE_SECONDS))
            self._fill()
        taken = min(most, int(self._tokens))
        self._tokens -= taken
        return taken

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now


class Unlimited:
    """As fast as the machine goes."""

    def take(self, most: int) -> int:
        """See Pace."""
        return most


def pace_of(rate: float) -> Pace:
    """A pace of `rate` records a second; 0 means unlimited."""
    return TokenBucket(rate) if rate else Unlimited()
