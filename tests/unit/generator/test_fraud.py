"""Each fraud scenario as it is meant: who, where, when and for how much."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from generator.config import GeneratorConfig
from generator.places import COUNTRIES, PRICE_LEVEL_PERCENT
from generator.traffic import NO_INCIDENT, Traffic
from tests.generated import NOON, only, sample

ZONES = {country.code: country.zone for country in COUNTRIES}


@dataclass(frozen=True)
class Fraud:
    """A record of an incident, its amount in US dollars and its account's country."""

    record: dict[str, Any]
    dollars: Decimal
    home: str

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.record["timestamp"])


def _incidents(config: GeneratorConfig, *, hours: int = 2, start: datetime = NOON) -> list[list[Fraud]]:
    """The complete incidents of some hours of traffic: those that began well before its end."""
    traffic = Traffic(config, seed=11)
    found: dict[int, list[Fraud]] = {}
    for minute in range(0, hours * 60, 10):
        drawn = sample(traffic, 6000, start=start + timedelta(minutes=minute))
        for i, number in enumerate(drawn.batch.incident.tolist()):
            if number != NO_INCIDENT:
                record = json.loads(drawn.values[i] or b"")
                level = Decimal(PRICE_LEVEL_PERCENT[record["currency"]]) / 100
                home = COUNTRIES[traffic.population.country[drawn.batch.account[i]]].code
                found.setdefault(number, []).append(Fraud(record, Decimal(record["amount"]) / level, home))
    last = start + timedelta(hours=hours - 1)
    return [records for records in found.values() if records[0].time < last]


def test_high_value_is_one_amount_within_its_bounds() -> None:
    incidents = _incidents(only("high_value", smallest=15_000, largest=20_000))
    assert len(incidents) > 500
    for (fraud,) in incidents:
        assert 14_990 <= fraud.dollars <= 20_000


def test_velocity_burst_is_small_amounts_of_one_account_then_a_large_one() -> None:
    incidents = _incidents(only("velocity_burst", transactions=6, seconds=20, test_amount=5, final_amount=900))
    assert len(incidents) > 100
    for burst in incidents:
        assert len(burst) == 6
        assert len({fraud.record["account_id"] for fraud in burst}) == 1
        assert {fraud.record["channel"] for fraud in burst} == {"online"}
        assert all(fraud.dollars <= 5 for fraud in burst[:-1])
        assert 895 < burst[-1].dollars <= 900
        assert timedelta(seconds=15) < burst[-1].time - burst[0].time < timedelta(seconds=25)


@pytest.mark.parametrize("hour", [0, 7, 11, 15, 21])
def test_unusual_hour_is_at_night_on_the_clocks_of_its_account(hour: int) -> None:
    start = datetime(2026, 11, 22, hour, 20, tzinfo=UTC)
    incidents = _incidents(only("unusual_hour"), start=start)
    assert len(incidents) > 500
    for (fraud,) in incidents:
        assert 1 <= fraud.time.astimezone(ZONES[fraud.record["country"]]).hour < 5
        assert fraud.record["country"] == fraud.home
        assert 295 < fraud.dollars <= 1500


def test_impossible_travel_is_in_person_in_two_countries_within_its_minutes() -> None:
    incidents = _incidents(only("impossible_travel", shortest_minutes=2, longest_minutes=45))
    assert len(incidents) > 200
    for first, second in incidents:
        assert first.record["account_id"] == second.record["account_id"]
        assert first.record["country"] == first.home != second.record["country"]
        assert {first.record["channel"], second.record["channel"]} == {"pos"}
        assert timedelta(minutes=1.9) < second.time - first.time < timedelta(minutes=46)


def test_merchant_ring_is_several_accounts_that_pay_one_merchant_nearly_the_same() -> None:
    incidents = _incidents(only("merchant_ring", accounts=6, minutes=10))
    assert len(incidents) > 80
    for ring in incidents:
        assert len(ring) == 6
        assert len({fraud.record["account_id"] for fraud in ring}) == 6
        assert len({fraud.record["merchant_id"] for fraud in ring}) == 1
        assert max(fraud.dollars for fraud in ring) - min(fraud.dollars for fraud in ring) < 12
        assert ring[-1].time - ring[0].time < timedelta(minutes=11)
    merchants = {ring[0].record["merchant_id"] for ring in incidents}
    assert len(merchants) <= len(COUNTRIES), "a country has one dishonest merchant"


def test_account_takeover_is_online_abroad_with_rising_amounts() -> None:
    incidents = _incidents(only("account_takeover", transactions=5, first_amount=80, growth_percent=180, minutes=15))
    assert len(incidents) > 80
    for theft in incidents:
        assert len(theft) == 5
        assert len({fraud.record["account_id"] for fraud in theft}) == 1
        assert {fraud.record["channel"] for fraud in theft} == {"online"}
        (place,) = {fraud.record["country"] for fraud in theft}
        assert place != theft[0].home
        for earlier, later in pairwise(theft):
            assert Decimal("1.75") < later.dollars / earlier.dollars < Decimal("1.85")
