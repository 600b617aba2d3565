"""When people spend: by the hour of their day, their day of the week, and the traffic's own bursts and pauses.

In simulated time the rate follows the world's seasons: `Arrivals` gives each record its time. At wall-clock time the
rate is what the configuration says, and the seasons decide only whose turn it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.config import DisturbancesConfig, SurgeConfig
from generator.places import COUNTRIES, SHARES, local_hours, local_weekdays

_HOUR_MS = 3_600_000
_WEEK_HOURS = 168
_EVERYWHERE = np.arange(len(COUNTRIES))


@dataclass(frozen=True)
class Profile:
    """A kind of person: its share of the accounts, and how willing to spend it is in each of its day's 24 hours: a
    digit an hour, 0 (never) to 9 (as much as it ever is).
    """

    name: str
    share: float
    by_hour: str


PROFILES = (
    #                        0     6     12    18
    Profile("early", 0.22, "000005899999988888765210"),
    Profile("office", 0.43, "100000588666799667999853"),
    Profile("home", 0.20, "000000257999999999876310"),
    Profile("evening", 0.14, "400000012345777899999998"),
    Profile("night", 0.01, "975445752000002457999999"),
)
# Monday to Sunday, relative to the busiest day.
WEEKDAYS = np.array([0.86, 0.86, 0.88, 0.92, 1.0, 0.98, 0.84])

_BY_HOUR = np.array([[int(digit) / 9 for digit in profile.by_hour] for profile in PROFILES])
_CROWD = np.array([profile.share for profile in PROFILES]) @ _BY_HOUR


def willingness(
    times_ms: NDArray[np.int64], place: NDArray[np.integer], profile: NDArray[np.integer]
) -> NDArray[np.float64]:
    """How willing to spend accounts of `profile` (positions in PROFILES) in `place` are at `times_ms`, 0 to 1."""
    hourly: NDArray[np.float64] = _BY_HOUR[profile, local_hours(times_ms, place)]
    daily: NDArray[np.float64] = WEEKDAYS[local_weekdays(times_ms, place)]
    return hourly * daily


def world_level(time_ms: int) -> float:
    """The share of the world's greatest possible spending that goes on in the hour of `time_ms`."""
    moment = np.full(len(COUNTRIES), time_ms, dtype=np.int64)
    hours, days = local_hours(moment, _EVERYWHERE), local_weekdays(moment, _EVERYWHERE)
    return float(SHARES @ (_CROWD[hours] * WEEKDAYS[days]))


class Surges:
    """The traffic's own bursts and pauses, as a factor on the rate. Times are seconds since the run began.

    They begin and end at whole milliseconds.
    """

    def __init__(self, config: DisturbancesConfig) -> None:
        self._bursts, self._pauses = _Period.of(config.bursts), _Period.of(config.pauses)
        self._burst_factor = config.bursts.factor

    def factor(self, seconds: float) -> float:
        """The factor at `seconds`: 0 in a pause, else the burst's in a burst, else 1."""
        if self._pauses.within(seconds):
            return 0.0
        return self._burst_factor if self._bursts.within(seconds) else 1.0

    def next_change(self, seconds: float) -> float:
        """The next time after `seconds` at which the factor may change; infinity where it never does."""
        return min(self._pauses.next_edge(seconds), self._bursts.next_edge(seconds))


@dataclass(frozen=True)
class _Period:
    """What lasts `ms` and comes every `every_ms` (0: never), from the first whole period on.

    Whole numbers: an edge in floating point may never be reached.
    """

    every_ms: int
    ms: int

    @classmethod
    def of(cls, config: SurgeConfig) -> "_Period":
        every = max(1, round(config.every_seconds * 1000)) if config.every_seconds else 0
        return cls(every, round(config.seconds * 1000))

    def within(self, seconds: float) -> bool:
        at = round(seconds * 1000)
        return 0 < self.every_ms <= at and at % self.every_ms < self.ms

    def next_edge(self, seconds: float) -> float:
        if not self.every_ms:
            return float("inf")
        at = round(seconds * 1000)
        begun = at - at % self.every_ms
        return (begun + self.ms if begun + self.ms > at else begun + self.every_ms) / 1000


class Arrivals:
    """The times of a simulated run's records: a Poisson process whose rate follows the seasons.

    Over a week the mean is `rate` records a second, bursts and pauses apart. Drawn by inversion of the integrated
    rate: unit-rate arrivals, mapped through a piecewise linear function of time.
    """

    def __init__(self, start_ms: int, rate: float, surges: Surges, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pieces = _pieces(start_ms, rate, surges)
        self._edges_ms, self._expected = [float(start_ms)], [0.0]
        self._drawn = 0.0

    def times(self, count: int) -> NDArray[np.int64]:
        """The next `count` event times, UTC milliseconds, ascending."""
        drawn = self._drawn + np.cumsum(self._rng.standard_exponential(count))
        if count:
            self._drawn = float(drawn[-1])
        while self._expected[-1] < self._drawn:
            end_ms, records = next(self._pieces)
            self._edges_ms.append(end_ms)
            self._expected.append(self._expected[-1] + records)
        times = np.interp(drawn, self._expected, self._edges_ms).astype(np.int64)
        self._edges_ms, self._expected = self._edges_ms[-2:], self._expected[-2:]
        return times


def _pieces(start_ms: int, rate: float, surges: Surges) -> Iterator[tuple[float, float]]:
    """Stretches of time with a constant rate: their ends, UTC milliseconds, and the records expected in them."""
    # A week is the period of everything but summer time.
    first = start_ms // _HOUR_MS * _HOUR_MS
    mean = sum(world_level(first + hour * _HOUR_MS) for hour in range(_WEEK_HOURS)) / _WEEK_HOURS
    at_ms = float(start_ms)
    while True:
        elapsed = (at_ms - start_ms) / 1000
        hour_ends = (at_ms // _HOUR_MS + 1) * _HOUR_MS
        end_ms = min(hour_ends, start_ms + surges.next_change(elapsed) * 1000)
        level = world_level(int(at_ms)) / mean * surges.factor(elapsed)
        yield end_ms, rate * level * (end_ms - at_ms) / 1000
        at_ms = end_ms
