"""What goes wrong on the way has its known answer."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from generator.places import COUNTRIES
from generator.seasons import PROFILES
from generator.traffic import DISTURBANCES, Traffic
from tests.generated import NOON, at_ms, quiet, sample

_ZONES = [country.zone for country in COUNTRIES]
_NIGHT = [profile.name for profile in PROFILES].index("night")


def test_late_records_are_older_than_their_sending_by_a_log_normal_delay() -> None:
    late = {"percent": 20, "median_seconds": 4, "sigma": 0.8, "longest_seconds": 60}
    batch = sample(Traffic(quiet(disturbances={"late": late}), seed=1), 60_000).batch
    delays = (batch.planned_ms - batch.event_ms)[batch.disturbance == DISTURBANCES.index("late")]
    assert len(delays) / len(batch) == pytest.approx(0.2, rel=0.03)
    assert np.median(delays) == pytest.approx(4000, rel=0.05)
    assert np.log(delays).std() == pytest.approx(0.8, rel=0.05)
    assert 0 < delays.min() < delays.max() <= 60_000
    assert (batch.event_ms == batch.planned_ms)[batch.disturbance == 0].all()


def test_late_records_come_out_of_order() -> None:
    batch = sample(Traffic(quiet(disturbances={"late": {"percent": 5}}), seed=1), 5000).batch
    assert np.count_nonzero(np.diff(batch.event_ms) < 0) > 100


def test_clock_skew_is_one_amount_for_all_records_of_a_merchant() -> None:
    skew = {"merchant_percent": 30, "longest_ms": 2000}
    traffic = Traffic(quiet(disturbances={"clock_skew": skew}), seed=2)
    batch = sample(traffic, 20_000).batch
    shift = batch.event_ms - batch.planned_ms
    skewed = [merchant for merchant in np.unique(batch.merchant) if shift[batch.merchant == merchant].any()]
    assert 0.2 < len(skewed) / len(traffic.population.merchants) < 0.4
    assert all(len(np.unique(shift[batch.merchant == merchant])) == 1 for merchant in skewed)
    assert shift.min() < -1000
    assert 1000 < shift.max() <= 2000
    assert ((shift != 0) == (batch.disturbance == DISTURBANCES.index("clock_skew"))).all()


def test_clock_skew_that_is_edited_still_counts_by_what_the_clocks_are() -> None:
    skew = {"merchant_percent": 100, "longest_ms": 600_000}
    traffic = Traffic(quiet(disturbances={"clock_skew": skew}), seed=2)
    traffic.change(quiet(disturbances={"clock_skew": {**skew, "longest_ms": 0}}))
    night = 0
    for hour in range(24):
        batch = sample(traffic, 300, start=NOON + timedelta(hours=hour, minutes=-3)).batch
        for account, event_ms in zip(batch.account.tolist(), batch.event_ms.tolist(), strict=True):
            local = datetime.fromtimestamp(event_ms / 1000, _ZONES[traffic.population.country[account]])
            night += 1 <= local.hour < 5 and traffic.population.profile[account] != _NIGHT
    assert night == 0


def test_duplicates_are_byte_identical_to_an_earlier_record_and_nothing_else_is_repeated() -> None:
    drawn = sample(Traffic(quiet(disturbances={"duplicate_percent": 3}), seed=3), 8000)
    duplicates = np.flatnonzero(drawn.batch.disturbance == DISTURBANCES.index("duplicate"))
    assert 200 < len(duplicates) < 260
    seen: dict[bytes | None, int] = {}
    for i, value in enumerate(drawn.values):
        assert (value in seen) == (i in set(duplicates.tolist()))
        if value in seen:
            assert drawn.keys[i] == drawn.keys[seen[value]]
            assert i - seen[value] <= 200
        seen[value] = i


def test_duplicate_sent_a_minute_after_its_original_keeps_its_time() -> None:
    batch = sample(Traffic(quiet(disturbances={"duplicate_percent": 5}), seed=4), 1000).batch
    duplicate, original = next(iter(batch.repeats.items()))
    batch.stamp(0, duplicate, at_ms(NOON))
    batch.stamp(duplicate, 1000, at_ms(NOON + timedelta(minutes=1)))
    assert batch.event_ms[duplicate] == batch.event_ms[original] == at_ms(NOON)
    assert batch.event_ms[duplicate + 1] == at_ms(NOON + timedelta(minutes=1)) or duplicate + 1 in batch.repeats


def test_records_of_ordinary_people_are_by_day_even_when_they_are_late() -> None:
    # Only one profile in a hundred pays between one and five.
    traffic = Traffic(quiet(disturbances={"late": {"percent": 50, "median_seconds": 50}}), seed=5)
    night = 0
    for hour in range(24):
        drawn = sample(traffic, 1000, start=NOON + timedelta(hours=hour, minutes=-1))
        for value, account in zip(drawn.values, drawn.batch.account, strict=True):
            record = json.loads(value or b"")
            zone = traffic.population.country[account]
            local = datetime.fromisoformat(record["timestamp"]).astimezone(_ZONES[zone])
            if 1 <= local.hour < 5:
                night += 1
                assert traffic.population.profile[account] == _NIGHT
    assert 0 < night < 24_000 * 0.03
