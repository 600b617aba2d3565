"""The sequence of records: repeatable, with the configured shares, and nothing that looks like fraud by accident."""

import json
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from generator.config import GeneratorConfig
from generator.malformed import MALFORMATIONS
from generator.places import COUNTRIES
from generator.population import Shard
from generator.traffic import DISTURBANCES, NO_INCIDENT, SCENARIOS, Batch, Traffic
from tests.generated import NOON, quiet, sample


def _bytes(config: GeneratorConfig, *, seed: int, shard: Shard | None = None) -> list[bytes | None]:
    traffic = Traffic(config, seed=seed, shard=shard or Shard())
    return [value for _ in range(2) for value in sample(traffic, 500).values]


def _labels(batch: Batch) -> list[str]:
    return [SCENARIOS[code] for code in batch.scenario]


def test_traffic_same_seed_and_times_give_the_same_bytes() -> None:
    config = GeneratorConfig.model_validate({"disturbances": {"duplicate_percent": 2}})
    assert _bytes(config, seed=1) == _bytes(config, seed=1)
    assert _bytes(config, seed=1) != _bytes(config, seed=2)


def test_traffic_ids_are_version_4_and_distinct() -> None:
    ids = [bytes(text).decode() for text in sample(Traffic(quiet(), seed=1), 4096).batch.transaction_id]
    assert len(set(ids)) == len(ids)
    assert all(UUID(text).version == 4 and str(UUID(text)) == text for text in ids)


def test_traffic_shares_are_as_configured() -> None:
    weights = {"high_value": 1, "velocity_burst": 2, "unusual_hour": 1, "merchant_ring": 3, "account_takeover": 2,
               "impossible_travel": 1}  # fmt: skip
    config = GeneratorConfig.model_validate(
        {
            "fraud_percent": 5,
            "scenarios": {name: {"weight": weight} for name, weight in weights.items()},
            "disturbances": {"malformed_percent": 2, "duplicate_percent": 1, "late": {"percent": 3}},
        }
    )
    traffic = Traffic(config, seed=3)
    labels: Counter[str] = Counter()
    disturbances: Counter[str | None] = Counter()
    for minute in range(200):
        batch = sample(traffic, 2000, start=NOON + timedelta(seconds=200 * minute)).batch
        labels.update(_labels(batch))
        disturbances.update(DISTURBANCES[code] for code in batch.disturbance)
    records = labels.total()
    for name, weight in weights.items():
        assert labels[name] / records == pytest.approx(0.05 * weight / 10, rel=0.1), name
    assert sum(disturbances[name] for name in MALFORMATIONS) / records == pytest.approx(0.02, rel=0.05)
    assert disturbances["late"] / records == pytest.approx(0.03 * 0.93, rel=0.06)
    # A duplicate needs an original in its batch that is not repeated yet: a few fewer than configured.
    assert 0.008 < disturbances["duplicate"] / records < 0.01
    assert all(disturbances[name] for name in MALFORMATIONS)


def test_traffic_without_fraud_and_disturbances_is_all_ordinary() -> None:
    batch = sample(Traffic(quiet(), seed=3), 4096).batch
    assert set(_labels(batch)) == {"ordinary"}
    assert not batch.disturbance.any()
    assert (batch.event_ms == batch.planned_ms).all()
    assert (batch.incident == NO_INCIDENT).all()


def test_traffic_first_minute_shows_every_scenario() -> None:
    traffic = Traffic(GeneratorConfig(), seed=4)
    labels: Counter[str] = Counter()
    for second in range(60):
        labels.update(_labels(sample(traffic, 10, start=NOON + timedelta(seconds=second)).batch))
    assert set(SCENARIOS) == set(labels)
    assert labels["velocity_burst"] >= 8


def test_traffic_incident_keeps_its_records_together_under_one_number() -> None:
    traffic = Traffic(GeneratorConfig(fraud_percent=10), seed=4)
    batch = sample(traffic, 8000).batch
    for number in np.unique(batch.incident[batch.incident != NO_INCIDENT]):
        assert len(set(batch.scenario[batch.incident == number])) == 1
    bursts = batch.incident[batch.scenario == SCENARIOS.index("velocity_burst")]
    assert Counter(Counter(bursts.tolist()).values())[8] > 10


def test_traffic_fraud_is_never_broken_late_or_repeated() -> None:
    disturbed = {"malformed_percent": 30, "late": {"percent": 30}, "duplicate_percent": 30}
    config = GeneratorConfig.model_validate({"fraud_percent": 20, "disturbances": disturbed})
    batch = sample(Traffic(config, seed=5), 4000).batch
    assert {DISTURBANCES[code] for code in batch.disturbance[batch.scenario > 0]} <= {None, "clock_skew"}


def _most_within_a_minute(accounts: NDArray[np.int64], times_ms: NDArray[np.int64]) -> int:
    order = np.lexsort((times_ms, accounts))
    account, time_ms = accounts[order], times_ms[order]
    most = 1
    while ((account[most:] == account[:-most]) & (time_ms[most:] - time_ms[:-most] <= 60_000)).any():
        most += 1
    return most


@pytest.mark.parametrize("rate", [10, 200])
def test_traffic_ordinary_records_are_never_a_burst_by_accident(rate: int) -> None:
    # 04:00 UTC: most of the world sleeps, so the fewest accounts share the traffic.
    start = NOON.replace(hour=4)
    traffic = Traffic(quiet(rate_per_second=rate), seed=6)
    batches = [sample(traffic, rate, start=start + timedelta(seconds=n), rate=rate).batch for n in range(300)]
    accounts = np.concatenate([batch.account for batch in batches])
    assert 2 <= _most_within_a_minute(accounts, np.concatenate([batch.event_ms for batch in batches])) <= 5


def test_traffic_busy_accounts_pay_several_times_as_often_as_quiet_ones() -> None:
    traffic = Traffic(quiet(), seed=7)
    accounts = np.concatenate([sample(traffic, 8000, start=NOON + timedelta(hours=n)).batch.account for n in range(10)])
    paid = np.bincount(accounts, minlength=len(traffic.population))
    activity = traffic.population.activity
    busy, quiet_ones = paid[activity == activity.max()].mean(), paid[activity == 1].mean()
    assert busy / quiet_ones == pytest.approx(activity.max(), rel=0.1)


def test_traffic_shards_have_the_same_people_and_no_account_in_common() -> None:
    shards = [Traffic(GeneratorConfig(fraud_percent=20), seed=8, shard=Shard(number, 3)) for number in range(3)]
    batches = [sample(traffic, 2000).batch for traffic in shards]
    assert (shards[0].population.country == shards[2].population.country).all()
    for number, batch in enumerate(batches):
        assert set(batch.account % 3) == {number}
    incidents = [set(batch.incident) - {NO_INCIDENT} for batch in batches]
    assert incidents[0]
    assert not incidents[0] & incidents[1]
    assert _bytes(quiet(), seed=1, shard=Shard(0, 2)) != _bytes(quiet(), seed=1, shard=Shard(1, 2))


def test_traffic_yen_are_whole_and_amounts_are_in_the_currency_of_the_country() -> None:
    currencies = {country.code: country.currency for country in COUNTRIES}
    values = sample(Traffic(quiet(), seed=7), 2000).values
    for record in (json.loads(value or b"") for value in values):
        assert record["currency"] == currencies[record["country"]]
        if record["currency"] == "JPY":
            assert Decimal(record["amount"]) % 1 == 0


def test_traffic_nobody_asleep_stages_another_scenario_and_counts() -> None:
    # At 10:59:50 Mexico's night ends within the time a batch holds, and Tahiti's has not begun.
    weights = {name: {"weight": 0} for name in SCENARIOS[1:]}
    mix = {**weights, "high_value": {"weight": 1}, "unusual_hour": {"weight": 1}}
    traffic = Traffic(GeneratorConfig.model_validate({"fraud_percent": 20, "scenarios": mix}), seed=8)
    batch = sample(traffic, 1000, start=NOON.replace(hour=10, minute=59, second=50), rate=1000).batch
    labels = Counter(_labels(batch))
    assert labels["unusual_hour"] == 0
    assert labels["high_value"] > traffic.not_staged > 50


@pytest.mark.timeout(30)
def test_traffic_incidents_due_during_a_long_wait_come_in_their_order_and_at_once() -> None:
    config = quiet(fraud_percent=50, scenarios={"velocity_burst": {"transactions": 100, "seconds": 600}})
    traffic = Traffic(config, seed=10)
    for second in range(10):
        sample(traffic, 8000, start=NOON + timedelta(seconds=second), rate=8000)
    waiting = [step for _, _, _, _, step in sorted(traffic._due)]
    assert len(waiting) > 20_000
    started = time.monotonic()
    batch = sample(traffic, 8000, start=NOON + timedelta(hours=1), rate=8000).batch
    assert time.monotonic() - started < 5
    assert batch.account.tolist() == [step.account for step in waiting[:8000]]


def test_change_new_shares_hold_from_the_next_batch_on() -> None:
    traffic = Traffic(quiet(), seed=9)
    before = sample(traffic, 1000).batch
    traffic.change(quiet(fraud_percent=50, disturbances={"malformed_percent": 20}))
    after = sample(traffic, 1000, start=NOON + timedelta(seconds=100)).batch
    assert not before.scenario.any()
    assert not before.malformations
    assert np.count_nonzero(after.scenario) > 300
    assert len(after.malformations) > 100
