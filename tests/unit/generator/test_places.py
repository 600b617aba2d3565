"""Night and day in the countries of the accounts."""

from datetime import UTC, datetime

import pytest

from generator.places import COUNTRIES, asleep

NIGHT = {"start_hour": 1, "end_hour": 5}


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize("minute", [0, 15, 30, 45])
def test_asleep_every_quarter_hour_some_country_sleeps_and_half_are_awake(month: int, hour: int, minute: int) -> None:
    night = asleep(datetime(2026, month, 15, hour, minute, tzinfo=UTC), **NIGHT)
    weights = [country.weight for country in COUNTRIES]
    assert night.any()
    # The account pool is sized for this: see _ACCOUNTS_PER_RATE.
    assert sum(weight for weight, sleeping in zip(weights, night, strict=True) if not sleeping) >= 0.5 * sum(weights)


def test_asleep_follows_daylight_saving() -> None:
    berlin = [country.code for country in COUNTRIES].index("DE")
    assert asleep(datetime(2026, 1, 15, 3, 30, tzinfo=UTC), **NIGHT)[berlin]
    assert not asleep(datetime(2026, 7, 15, 3, 30, tzinfo=UTC), **NIGHT)[berlin]
