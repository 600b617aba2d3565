"""The seasons of spending, and the times of a simulated run."""

import numpy as np
import pytest

from generator.config import DisturbancesConfig
from generator.seasons import PROFILES, Arrivals, Surges, world_level
from tests.generated import NOON, at_ms

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MIDNIGHT_MS = at_ms(NOON.replace(hour=0))


def _surges(**config: object) -> Surges:
    return Surges(DisturbancesConfig.model_validate(config))


def _arrivals(rate: float = 10, surges: Surges | None = None, seed: int = 1) -> Arrivals:
    return Arrivals(MIDNIGHT_MS, rate, surges or _surges(), np.random.default_rng(seed))


def test_profiles_have_a_digit_an_hour_and_shares_that_add_up() -> None:
    assert {len(profile.by_hour) for profile in PROFILES} == {24}
    assert sum(profile.share for profile in PROFILES) == pytest.approx(1)


def test_arrivals_of_a_week_have_the_configured_mean_and_the_shape_of_the_seasons() -> None:
    rate = 2.0
    times = _arrivals(rate).times(round(rate * 7 * 86_400 * 1.02))
    times = times[times < MIDNIGHT_MS + 7 * DAY_MS]
    assert len(times) == pytest.approx(rate * 7 * 86_400, rel=0.005)
    counts = np.bincount((times - MIDNIGHT_MS) // HOUR_MS, minlength=168)
    levels = np.array([world_level(MIDNIGHT_MS + hour * HOUR_MS) for hour in range(168)])
    expected = rate * 3600 * levels / levels.mean()
    # Poisson: the squared deviations in units of the expected count are chi-square with 168 degrees of freedom, so
    # 168 +- 18; a flat day would give some 30,000.
    assert ((counts - expected) ** 2 / expected).sum() < 168 + 5 * 18.3
    assert counts.max() > 2 * counts.min()


def test_arrivals_in_pieces_are_those_in_one_go() -> None:
    whole = _arrivals().times(5000)
    arrivals = _arrivals()
    assert np.concatenate([arrivals.times(count) for count in (1, 999, 0, 4000)]).tolist() == whole.tolist()
    assert (np.diff(whole) >= 0).all()


def test_arrivals_keep_away_from_pauses_and_crowd_in_bursts() -> None:
    surges = _surges(
        bursts={"every_seconds": 600, "seconds": 60, "factor": 5}, pauses={"every_seconds": 300, "seconds": 20}
    )
    times = _arrivals(20, surges).times(60_000)
    seconds = (times - MIDNIGHT_MS) / 1000
    started = seconds >= 300
    assert not (started & (seconds % 300 < 20)).any()
    assert seconds[-1] > 1800
    whole = seconds[(seconds >= 600) & (seconds < 1800)] % 600
    burst = np.count_nonzero((whole >= 20) & (whole < 60)) / 40
    calm = np.count_nonzero(whole >= 320) / 280
    assert burst / calm == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "factor"), [(0, 1), (5, 1), (99.9, 1), (100, 4), (109.9, 4), (110, 1), (200, 4), (250, 0), (254.9, 0)]
)
def test_surges_factor_follows_bursts_and_pauses(seconds: float, factor: float) -> None:
    surges = _surges(
        bursts={"every_seconds": 100, "seconds": 10, "factor": 4}, pauses={"every_seconds": 250, "seconds": 5}
    )
    assert surges.factor(seconds) == factor


@pytest.mark.timeout(20)
@pytest.mark.parametrize("every", [0.7, 33.3333, 77.7777])
def test_arrivals_pass_surges_whose_edges_are_no_whole_milliseconds(every: float) -> None:
    surges = _surges(bursts={"every_seconds": every, "seconds": 0.1 * every, "factor": 3})
    seconds = (_arrivals(20, surges).times(20_000) - MIDNIGHT_MS) / 1000
    phase = seconds[seconds > every] % every / every
    burst, calm = np.count_nonzero(phase < 0.1) / 0.1, np.count_nonzero(phase >= 0.1) / 0.9
    assert burst / calm == pytest.approx(3, rel=0.1)


def test_surges_without_any_never_change() -> None:
    assert _surges().factor(1e9) == 1
    assert _surges().next_change(5) == float("inf")
