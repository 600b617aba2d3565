"""Durations and moments on the command line."""

import pytest

from contracts.errors import ConfigError
from generator.durations import seconds_of, utc_ms


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("12h", 43_200), ("30d", 2_592_000), ("1w", 604_800)]
)
def test_seconds_of_number_and_unit_are_multiplied(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "1.5h", "-1d", "0d", "30 days"])
def test_seconds_of_anything_else_says_what_a_duration_is(text: str) -> None:
    with pytest.raises(ConfigError, match="whole number and one of s, m, h, d, w"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["2026-11-01T00:00:00Z", "2026-11-01", "2026-11-01T02:00:00+02:00"])
def test_utc_ms_without_a_zone_is_utc(text: str) -> None:
    assert utc_ms(text) == 1_793_491_200_000


def test_utc_ms_not_a_time_says_how_one_looks() -> None:
    with pytest.raises(ConfigError, match="2026-11-01T00:00:00Z"):
        utc_ms("yesterday")
