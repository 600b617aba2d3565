"""Every rule kind in a real Flink, held to the oracle over seeded traffic: bursts, late and shuffled records, twins."""

import os
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from contracts.schema import load_contract
from streaming.rules.book import AnyRule, RuleBook
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour
from tests.rules_in_flink import Mode, alerts_of
from tests.rules_oracle import Transaction, hits_of

_SEED = int(os.environ.get("RULES_SEED", random.SystemRandom().randrange(1_000_000)))
_ZONES = {"US": "America/New_York", "IN": "Asia/Kolkata", "AU": "Australia/Sydney", "GB": "Europe/London"}


def _rapid(name: str, **parameters: object) -> RapidActivity:
    common = {"id": name, "severity": "high", "kind": "rapid_activity"}
    return RapidActivity.model_validate({**common, **parameters})


def _night(name: str, start: int, end: int) -> UnusualHour:
    rule = UnusualHour(
        id=name, severity="low", kind="unusual_hour", start_hour=start, end_hour=end,
        minimum_amounts={"EUR": Decimal("20.00"), "USD": Decimal("0.00")},
    )  # fmt: skip
    return rule.model_copy(update={"zones": _ZONES})


RULES: tuple[AnyRule, ...] = (
    HighValue(id="high", severity="high", kind="high_value", thresholds={"EUR": Decimal(90), "JPY": Decimal(95)}),
    HighValue(
        id="high-narrow", severity="high", kind="high_value", thresholds={"EUR": Decimal(50), "USD": Decimal(60)},
        merchant_categories=("5411", "6011"), channels=("atm", "online"),
    ),
    _rapid("one-more", count=1, window_seconds=20),
    _rapid("burst", count=5, window_seconds=60),
    _rapid("burst-exact", count=5, window_seconds=60, lookback=5),
    _rapid("crowd", count=20, window_seconds=3600),
    _rapid("spending", total_amounts={"EUR": "250.00", "USD": "180.00"}, window_seconds=120, lookback=30),
    _rapid("spending-and-many", count=4, total_amounts={"EUR": "240.00"}, window_seconds=120),
    _night("night", 1, 5),
    _night("around-midnight", 22, 2),
)  # fmt: skip
_BOOK = RuleBook.model_construct(time_zones=_ZONES, rules=RULES)


def _log(random_source: random.Random, *, length: int = 4_000) -> list[Transaction]:
    """Traffic of a few accounts: some quiet, one in bursts; a tenth late by up to an hour, some sent twice."""
    now, sent = datetime(2026, 3, 28, 18, 0, tzinfo=UTC), list[Transaction]()  # the clocks change in this night
    while len(sent) < length:
        account = random_source.choices(range(6), weights=[40, 20, 10, 5, 2, 1])[0]
        now += timedelta(milliseconds=random_source.choice([0, 1, 500, 3_000, 20_000, 60_000]))
        late = (
            timedelta(milliseconds=random_source.randrange(3_600_000)) if random_source.random() < 0.1 else timedelta()
        )
        if sent and random_source.random() < 0.02:
            twin = random_source.choice(sent[-20:])
            sent.append(Transaction(**{**vars(twin), "kafka_offset": len(sent)}))
            continue
        sent.append(
            Transaction(
                transaction_id=str(UUID(int=random_source.getrandbits(128), version=4)),
                event_time=now - late,
                account_id=f"ACC{account:09}",
                amount=Decimal(random_source.randrange(1, 10_000)) / 100,
                currency=random_source.choice(["EUR", "EUR", "USD", "JPY"]),
                merchant_category=random_source.choice(["5411", "6011", "5999"]),
                channel=random_source.choice(["pos", "online", "atm"]),
                country=random_source.choice([*_ZONES, "CH"]),
                kafka_partition=0,
                kafka_offset=len(sent),
            )
        )
    return sent


@pytest.fixture(scope="module")
def by_mode(tmp_path_factory: pytest.TempPathFactory) -> dict[Mode, list[dict[str, Any]]]:
    """The alerts over the traffic in both modes."""
    rows = (one.as_row() for one in _log(random.Random(_SEED)))
    return alerts_of(_BOOK, rows, tmp_path_factory.mktemp("oracle"), "batch", "streaming")


@pytest.mark.parametrize("mode", ["batch", "streaming"], ids=["over history", "as a stream"])
def test_alerts_of_seeded_shuffled_traffic_are_those_of_the_oracle(
    mode: Mode, by_mode: dict[Mode, list[dict[str, Any]]]
) -> None:
    log, alerts = _log(random.Random(_SEED)), by_mode[mode]
    found = {(alert["rule_id"], alert["source_offset"]): alert["evidence"] for alert in alerts}
    expected = hits_of(RULES, log)
    assert len(found) == len(alerts), "a transaction was hit twice by one rule"
    silent = {rule.id for rule in RULES} - {rule_id for rule_id, _ in expected}
    assert not silent, f"the traffic never hits {silent}: it proves nothing about them"
    differing = {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
    assert not differing, f"RULES_SEED={_SEED}\n" + "\n".join(
        f"{key}: found {found.get(key)}, expected {expected.get(key)}" for key in sorted(differing)[:5]
    )
    assert {tuple(alert) for alert in alerts} == {tuple(field.column for field in load_contract("alert").fields)}
