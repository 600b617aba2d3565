"""The sequence of records: repeatable, with the configured shares, each scenario as it is meant."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest

from generator.config import GeneratorConfig
from generator.encoding import encode, timestamp_text
from generator.places import COUNTRIES
from generator.traffic import ORDINARY, Batch, Traffic

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_999, tzinfo=UTC)


def _bytes(config: GeneratorConfig, *, seed: int, sizes: tuple[int, ...] = (500, 500)) -> list[bytes | None]:
    traffic = Traffic(config, seed=seed)
    return [value for size in sizes for value in encode(traffic.batch(size, NOON), 0, size, now=NOON)]


def test_traffic_same_seed_and_clock_gives_the_same_bytes() -> None:
    config = GeneratorConfig()
    assert _bytes(config, seed=1) == _bytes(config, seed=1)
    assert _bytes(config, seed=1) != _bytes(config, seed=2)


def test_traffic_ids_are_version_4_and_distinct() -> None:
    ids = Traffic(GeneratorConfig(), seed=1).batch(4096, NOON).columns["transaction_id"]
    assert len(set(ids)) == len(ids)
    assert all(UUID(text).version == 4 and str(UUID(text)) == text for text in ids)


def test_timestamp_text_has_milliseconds_and_a_z() -> None:
    assert timestamp_text(NOON) == "2026-11-22T12:00:00.123Z"
    assert timestamp_text(NOON.replace(microsecond=0)) == "2026-11-22T12:00:00.000Z"


def test_traffic_shares_are_as_configured() -> None:
    traffic = Traffic(GeneratorConfig(fraud_percent=4, malformed_percent=2), seed=3)
    labels: Counter[str] = Counter()
    broken = 0
    for _ in range(100):
        batch = traffic.batch(2000, NOON)
        labels.update(batch.labels)
        broken += len(batch.malformations)
        assert all(batch.labels[i] == ORDINARY for i in batch.malformations)
    assert broken / 200_000 == pytest.approx(0.02, rel=0.06)
    assert labels["high_value"] / 200_000 == pytest.approx(0.01, rel=0.1)
    assert labels["unusual_hour"] / 200_000 == pytest.approx(0.01, rel=0.1)
    assert labels["rapid_activity"] / 200_000 == pytest.approx(0.02, rel=0.15)


def test_traffic_without_fraud_and_malformed_records_is_all_ordinary() -> None:
    batch = Traffic(GeneratorConfig(fraud_percent=0, malformed_percent=0), seed=3).batch(4096, NOON)
    assert set(batch.labels) == {ORDINARY}
    assert not batch.malformations


def test_traffic_first_half_minute_shows_every_scenario() -> None:
    traffic = Traffic(GeneratorConfig(), seed=4)
    labels = Counter(label for _ in range(30) for label in traffic.batch(10, NOON).labels)
    assert labels["high_value"] >= 1
    assert labels["rapid_activity"] >= 8
    assert labels["unusual_hour"] >= 1


def test_traffic_unusual_hour_is_at_night_and_everybody_else_is_awake() -> None:
    zones = {country.code: country.zone for country in COUNTRIES}
    for hour in range(24):
        now = NOON.replace(hour=hour, minute=20)
        batch = Traffic(GeneratorConfig(fraud_percent=20), seed=hour).batch(1000, now)
        for label, code in zip(batch.labels, batch.columns["country"], strict=True):
            assert (1 <= now.astimezone(zones[code]).hour < 5) == (label == "unusual_hour"), (hour, label, code)


def test_traffic_burst_is_one_account_within_its_seconds_among_other_records() -> None:
    rate = 10
    traffic = Traffic(GeneratorConfig(rate_per_second=rate, fraud_percent=0.5, malformed_percent=0), seed=5)
    batches = [traffic.batch(rate, NOON) for _ in range(40)]
    at = [i for i, label in enumerate(_labels(batches)) if label == "rapid_activity"][:8]
    accounts = [account for batch in batches for account in batch.columns["account_id"]]
    assert len({accounts[i] for i in at}) == 1
    assert 15 <= (at[-1] - at[0]) / rate <= 21
    assert min(later - earlier for earlier, later in pairwise(at)) > 1


def _labels(batches: list[Batch]) -> list[str]:
    return [label for batch in batches for label in batch.labels]


@pytest.mark.parametrize("rate", [10, 200])
def test_traffic_ordinary_records_are_never_a_burst_by_accident(rate: int) -> None:
    traffic = Traffic(GeneratorConfig(rate_per_second=rate, fraud_percent=0, malformed_percent=0), seed=6)
    # 07:30 UTC: all of the Americans sleep, so the fewest accounts share the traffic.
    start = NOON.replace(hour=7, minute=30)
    accounts = [
        account
        for second in range(300)
        for account in traffic.batch(rate, start + timedelta(seconds=second)).columns["account_id"]
    ]
    window = 60 * rate
    worst = max(
        Counter(accounts[first : first + window]).most_common(1)[0][1]
        for first in range(0, len(accounts) - window, rate)
    )
    assert worst <= 5


def test_traffic_yen_are_whole_and_amounts_are_in_the_accounts_currency() -> None:
    values = _bytes(GeneratorConfig(malformed_percent=0), seed=7)
    currencies = {country.code: country.currency for country in COUNTRIES}
    for record in (json.loads(value or b"") for value in values):
        assert record["currency"] == currencies[record["country"]]
        if record["currency"] == "JPY":
            assert Decimal(record["amount"]) % 1 == 0


def test_traffic_nobody_asleep_stages_another_scenario_and_counts() -> None:
    # At 10:59:50 Mexico's night ends within the time a batch holds, and Tahiti's has not begun.
    mix = {"high_value": {"weight": 1}, "rapid_activity": {"weight": 0}, "unusual_hour": {"weight": 1}}
    traffic = Traffic(GeneratorConfig.model_validate({"fraud_percent": 20, "scenarios": mix}), seed=8)
    labels = Counter(traffic.batch(1000, NOON.replace(hour=10, minute=59, second=50)).labels)
    assert labels["unusual_hour"] == 0
    assert labels["high_value"] > traffic.not_staged > 50
