"""Traffic over the hours of the day, against the seasons. All records count, whatever happens to them."""

import numpy as np
from numpy.typing import NDArray

from generator.config import GeneratorConfig
from generator.describe.drawing import Drawn
from generator.describe.judging import Comparison, Floats, poisson, shares
from generator.seasons import Surges, world_level

HOUR_MS = 3_600_000
_WEEK_HOURS = 168
_HOURS = tuple(f"{hour:02d} h" for hour in range(24))


def expected_by_hour(config: GeneratorConfig, start_ms: int, end_ms: int) -> Floats:
    """The records that the seasons, bursts and pauses make expected in each clock hour (UTC) from `start_ms` to
    `end_ms`; the first and the last may be parts of an hour.
    """
    first = start_ms // HOUR_MS
    mean = float(np.mean([world_level((first + hour) * HOUR_MS) for hour in range(_WEEK_HOURS)]))
    surges = Surges(config.disturbances)
    found = []
    for hour in range(first, -(-end_ms // HOUR_MS)):
        begin, end = max(hour * HOUR_MS, start_ms), min((hour + 1) * HOUR_MS, end_ms)
        seconds = _factor_seconds(surges, (begin - start_ms) / 1000, (end - start_ms) / 1000)
        found.append(config.rate_per_second * world_level(begin) / mean * seconds)
    return np.array(found)


def drawn_by_hour(drawn: Drawn) -> NDArray[np.int64]:
    """The records drawn in each clock hour of the sample."""
    times = drawn.planned_ms[drawn.planned_ms < drawn.end_ms]
    first, end = drawn.start_ms // HOUR_MS, -(-drawn.end_ms // HOUR_MS)
    return np.bincount(times // HOUR_MS - first, minlength=end - first)


def compare_hours(drawn: Drawn, config: GeneratorConfig) -> list[Comparison]:
    """All records, and their share in each hour of the day (UTC).

    The times are a Poisson process: given how many there are, they fall into hours independently, so Pearson's test is
    exact, and their number is Poisson's. Where the sample ends with a record instead, that one is left out.
    """
    expected, found = expected_by_hour(config, drawn.start_ms, drawn.end_ms), drawn_by_hour(drawn)
    of_day = (drawn.start_ms // HOUR_MS + np.arange(len(found))) % 24
    judged = poisson(int(found.sum()), float(expected.sum()))
    return [
        Comparison(
            "records", f"{expected.sum():,.0f}", f"{found.sum():,}", "Poisson",
            judged.statistic, judged.p_value, int(found.sum()),
        ),
        shares(
            "records by hour of the day (UTC)",
            _HOURS,
            np.bincount(of_day, weights=found, minlength=24).astype(np.int64),
            np.bincount(of_day, weights=expected, minlength=24).astype(np.float64),
        ),
    ]  # fmt: skip


def _factor_seconds(surges: Surges, begin: float, end: float) -> float:
    """The seconds from `begin` to `end` of the run, each weighted by the surges' factor on the rate."""
    total, at = 0.0, begin
    while at < end:
        until = min(surges.next_change(at), end)
        total += surges.factor(at) * (until - at)
        at = until
    return total
