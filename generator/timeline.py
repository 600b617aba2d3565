"""The run's time: the clock on the wall, or a simulated one that makes a run repeatable to the byte.

A timeline plans the event times of records ahead of their sending, and says what a record's time is when it is sent.
"""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigError
from generator.config import GeneratorConfig
from generator.population import Shard
from generator.seasons import Arrivals, Surges

# A fraud incident is spread over planned time. At an unlimited rate, or one higher than machines reach, records are
# planned for a rate that is reached in any case: a burst may come out shorter, but never too slow to be one.
_PLANNED_UNLIMITED, _PLANNED_AT_MOST = 100.0, 20_000.0


class Timeline(Protocol):
    """The times of a run's records, UTC milliseconds."""

    surges_are_paced: bool
    """Whether bursts and pauses are made by sending faster or not at all, not by the records' times."""

    def plan(self, count: int) -> NDArray[np.int64]:
        """Times, ascending, for the next `count` records; fewer where the timeline ends."""

    def now_ms(self) -> int | None:
        """The event time of what is sent now; None where it is the planned one."""

    def overdue_ms(self, planned_ms: int) -> int:
        """How long ago `planned_ms` was; never positive where sending does not depend on the clock."""

    def change(self, rate: float) -> None:
        """Plans for another rate, records a second, from now on."""


class WallClock:
    """Records happen when they are sent."""

    surges_are_paced = True

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.change(rate)

    def plan(self, count: int) -> NDArray[np.int64]:
        """See Timeline."""
        return (self.now_ms() + np.arange(count) * self._between_ms).astype(np.int64)

    def now_ms(self) -> int:
        """See Timeline."""
        return int(self._clock() * 1000)

    def overdue_ms(self, planned_ms: int) -> int:
        """See Timeline."""
        return self.now_ms() - planned_ms

    def change(self, rate: float) -> None:
        """See Timeline."""
        self._between_ms = 1000 / min(rate or _PLANNED_UNLIMITED, _PLANNED_AT_MOST)


class Simulated:
    """Records happen from `start_ms` (UTC) on, `rate` a second on average, by the seasons; until `end_ms`, if any."""

    surges_are_paced = False

    def __init__(
        self, start_ms: int, rate: float, surges: Surges, rng: np.random.Generator, *, end_ms: int | None = None
    ) -> None:
        self._arrivals = Arrivals(start_ms, rate, surges, rng)
        self._end_ms = end_ms

    @classmethod
    def of(
        cls, config: GeneratorConfig, *, seed: int, shard: Shard, start_ms: int, end_ms: int | None = None
    ) -> "Simulated":
        """The time of a run under `config`, or of one shard of it, with a random stream of its own.

        Raises ConfigError where the rate is unlimited.
        """
        if not config.rate_per_second:
            raise ConfigError("command line", "simulated time needs a rate above 0: it says how dense its records lie")
        stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1 + shard.number, 6)))
        rate = config.rate_per_second / shard.count
        return cls(start_ms, rate, Surges(config.disturbances), stream, end_ms=end_ms)

    def plan(self, count: int) -> NDArray[np.int64]:
        """See Timeline."""
        times = self._arrivals.times(count)
        return times if self._end_ms is None else times[: int(np.searchsorted(times, self._end_ms))]

    def now_ms(self) -> None:
        """See Timeline."""

    def overdue_ms(self, planned_ms: int) -> int:
        """See Timeline."""
        return 0

    def change(self, rate: float) -> None:
        """See Timeline. A simulated run is repeatable: its rate stays."""
