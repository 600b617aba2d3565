"""Night and day in the countries of the accounts, and their money."""

from datetime import UTC, datetime

import numpy as np
import pytest

from generator.places import COUNTRIES, SHARES, asleep, local_hours, local_money, local_weekdays

NIGHT = {"start_hour": 1, "end_hour": 5}
CODES = [country.code for country in COUNTRIES]


def _ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("month", [1, 7])
@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize("minute", [0, 15, 30, 45])
def test_asleep_every_quarter_hour_some_country_sleeps_and_half_are_awake(month: int, hour: int, minute: int) -> None:
    some, every = asleep(_ms(2026, month, 15, hour, minute), **NIGHT)
    assert every.any()
    assert SHARES[~some].sum() >= 0.5


def test_asleep_within_a_margin_of_the_nights_end_is_neither_surely_nor_not_at_all() -> None:
    tokyo = CODES.index("JP")
    some, every = asleep(_ms(2026, 1, 15, 19, 59), **NIGHT, after_ms=120_000)
    assert (some[tokyo], every[tokyo]) == (True, False)


def test_asleep_follows_daylight_saving() -> None:
    berlin = CODES.index("DE")
    assert asleep(_ms(2026, 1, 15, 3, 30), **NIGHT)[0][berlin]
    assert not asleep(_ms(2026, 7, 15, 3, 30), **NIGHT)[0][berlin]


def test_local_hours_and_weekdays_agree_with_zoneinfo_in_every_country_and_season() -> None:
    everywhere = np.arange(len(COUNTRIES))
    for moment in (_ms(2026, 3, 29, 0, 59), _ms(2026, 3, 29, 1, 0), _ms(2026, 7, 3, 23, 31), _ms(2027, 1, 1, 4, 15)):
        times = np.full(len(COUNTRIES), moment, dtype=np.int64)
        local = [datetime.fromtimestamp(moment / 1000, country.zone) for country in COUNTRIES]
        assert local_hours(times, everywhere).tolist() == [at.hour for at in local]
        assert local_weekdays(times, everywhere).tolist() == [at.weekday() for at in local]


def test_local_money_yen_are_whole_and_no_amount_is_zero() -> None:
    places = np.array([CODES.index("US"), CODES.index("JP"), CODES.index("GB"), CODES.index("JP")])
    assert local_money(np.array([1234, 1234, 1, 0]), places).tolist() == [1234, 172_700, 1, 100]
