"""The alerting rules as a real Flink runs them: what they hit, what they leave, and the alerts' shape."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts.schema import load_contract
from streaming.rules.book import AnyRule, RuleBook
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour
from tests.rules_in_flink import Mode, alerts_of

_HIGH = HighValue(
    id="high",
    version="1",
    severity="high",
    kind="high_value",
    thresholds={"EUR": Decimal("100.00"), "JPY": Decimal("9000.00")},
)
_RAPID = RapidActivity(id="rapid", version="2", severity="critical", kind="rapid_activity", count=2, window_seconds=60)
_ZONES = {"US": "America/New_York", "IN": "Asia/Kolkata"}
_NIGHT = UnusualHour(
    id="night", version="1", severity="low", kind="unusual_hour", start_hour=1, end_hour=5,
    minimum_amounts={"EUR": Decimal("50.00")}
).model_copy(update={"zones": _ZONES})  # fmt: skip
_LATE = _NIGHT.model_copy(update={"id": "late", "start_hour": 22, "end_hour": 2})
RULES: tuple[AnyRule, ...] = (_HIGH, _RAPID, _NIGHT, _LATE)
_BOOK = RuleBook.model_construct(time_zones=_ZONES, rules=RULES)


@dataclass(frozen=True)
class Sent:
    """One valid transaction and the rules that must hit it."""

    time: str
    hit_by: set[str]
    account: str = "ACC000000001"
    amount: str = "10.00"
    currency: str = "EUR"
    country: str = "CH"
    # Number of the transaction whose id it has, if that is not its own.
    id_of: int | None = None


# In order of arrival.
HISTORY = (
    # The threshold itself is no hit; a currency that is not listed is not judged.
    Sent("2026-05-01T12:00:00.000Z", {"high"}, amount="100.01"),
    Sent("2026-05-02T12:00:00.000Z", set(), amount="100.00"),
    Sent("2026-05-03T12:00:00.000Z", set(), amount="8999.99", currency="JPY"),
    Sent("2026-05-04T12:00:00.000Z", {"high"}, amount="999999999999.99", currency="JPY"),
    Sent("2026-05-05T12:00:00.000Z", set(), amount="999999999999.99", currency="USD"),
    # More than two within 60 s, the end of the window included; each account by itself.
    Sent("2026-05-06T12:00:00.000Z", set(), account="ACC000000002"),
    Sent("2026-05-06T12:00:10.000Z", set(), account="ACC000000002"),
    Sent("2026-05-06T12:00:20.000Z", set(), account="ACC000000003"),
    Sent("2026-05-06T12:01:00.000Z", {"rapid"}, account="ACC000000002"),
    Sent("2026-05-06T12:01:10.001Z", set(), account="ACC000000002"),
    Sent("2026-05-06T12:01:20.000Z", {"rapid"}, account="ACC000000002"),
    # A record that arrives late is not near the others: its own event time counts.
    Sent("2026-05-07T12:00:00.000Z", set(), account="ACC000000004"),
    Sent("2026-05-07T12:30:00.000Z", set(), account="ACC000000004"),
    Sent("2026-05-07T10:00:00.000Z", set(), account="ACC000000004"),
    # Local hours, with daylight saving (New York is UTC-4 in May and UTC-5 in January) and half hours.
    Sent("2026-05-08T04:59:59.999Z", {"late"}, country="US", amount="50.00"),
    Sent("2026-05-09T05:00:00.000Z", {"night", "late"}, country="US", amount="50.00"),
    Sent("2026-05-10T08:59:59.999Z", {"night"}, country="US", amount="50.00"),
    Sent("2026-05-11T09:00:00.000Z", set(), country="US", amount="50.00"),
    Sent("2026-01-12T05:30:00.000Z", {"late"}, country="US", amount="50.00"),
    Sent("2026-05-13T05:00:00.000Z", set(), country="US", amount="49.99"),
    Sent("2026-05-14T19:29:59.999Z", {"late"}, country="IN", amount="50.00"),
    Sent("2026-05-15T19:30:00.000Z", {"night", "late"}, country="IN", amount="50.00"),
    # A country without a zone is judged in UTC.
    Sent("2026-05-16T01:00:00.000Z", {"night", "late"}, country="CH", amount="60.00"),
    Sent("2026-05-17T22:00:00.000Z", {"late"}, country="CH", amount="60.00"),
    # Number 0 is sent again; and another payment has its id.
    Sent("2026-05-01T12:00:00.000Z", {"high"}, amount="100.01", account="ACC000000100", id_of=0),
    Sent("2026-05-01T12:00:00.000Z", {"high", "rapid"}, amount="100.02", account="ACC000000100", id_of=0),
)  # fmt: skip
_AGAIN, _OTHER = len(HISTORY) - 2, len(HISTORY) - 1


def transaction_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


@pytest.fixture(scope="module")
def by_mode(tmp_path_factory: pytest.TempPathFactory) -> dict[Mode, list[dict[str, Any]]]:
    """The alerts over the history, by Kafka position; and as a stream, by the time of arrival."""
    history = (
        {
            "transaction_id": transaction_id(number if sent.id_of is None else sent.id_of),
            "merchant_name": "Ünïcode = 😀:;",
            "event_time": sent.time,
            # An account of its own, but where the history is about one.
            "account_id": sent.account if sent.account != "ACC000000001" else f"ACC{number + 100:09}",
            "amount": sent.amount,
            "currency": sent.currency,
            "country": sent.country,
            "kafka_partition": 1,
            "kafka_offset": number,
        }
        for number, sent in enumerate(HISTORY)
    )
    return alerts_of(_BOOK, history, tmp_path_factory.mktemp("rules"), "batch", "streaming")


@pytest.fixture(params=["batch", "streaming"])
def alerts(request: pytest.FixtureRequest, by_mode: dict[Mode, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The alerts in one of the modes."""
    mode: Mode = request.param
    return by_mode[mode]


def test_alerts_hit_exactly_the_meant_transactions(alerts: list[dict[str, Any]]) -> None:
    found = {(row["source_offset"], row["rule_id"]) for row in alerts}
    expected = {(number, rule) for number, sent in enumerate(HISTORY) for rule in sent.hit_by}
    assert {f"{HISTORY[n]} {rule}" for n, rule in found - expected} == set(), "hit and not meant"
    assert {f"{HISTORY[n]} {rule}" for n, rule in expected - found} == set(), "meant and not hit"
    assert len(alerts) == len(expected), "one alert a hit"


def test_alerts_id_is_the_hash_of_rule_version_and_all_that_the_transaction_says(alerts: list[dict[str, Any]]) -> None:
    for row in alerts:
        sent = HISTORY[row["source_offset"]]
        said = {  # fields without a value are left out
            "transaction_id": row["transaction_id"],
            "event_time": sent.time.replace("T", " ").removesuffix("Z"),
            "account_id": row["account_id"],
            "amount": sent.amount,
            "currency": sent.currency,
            "merchant_name": "Ünïcode = 😀:;",
            "country": sent.country,
        }
        content = "".join(f"{name}={len(value)}:{value};" for name, value in said.items())
        text = f"{row['rule_id']}\n{row['rule_version']}\n{content}"
        assert row["alert_id"] == f"2-{hashlib.sha256(text.encode()).hexdigest()}"


def test_alerts_record_sent_again_keeps_its_alert_and_another_payment_has_its_own(alerts: list[dict[str, Any]]) -> None:
    ids = {row["source_offset"]: row["alert_id"] for row in alerts if row["rule_id"] == "high"}
    assert ids[_AGAIN] == ids[0]
    assert ids[_OTHER] != ids[0]


def test_alerts_every_column_is_filled_from_rule_and_transaction(alerts: list[dict[str, Any]]) -> None:
    rules = {rule.id: rule for rule in RULES}
    for row in alerts:
        sent, rule = HISTORY[row["source_offset"]], rules[row["rule_id"]]
        assert (row["rule_version"], row["severity"], row["source_partition"]) == (rule.version, rule.severity, 1)
        assert row["transaction_id"] == transaction_id(row["source_offset"] if sent.id_of is None else sent.id_of)
        assert row["event_time"].removesuffix("Z").ljust(23, "0")[:19] == sent.time[:19]
        assert list(row) == [field.column for field in load_contract("alert").fields]


def test_alerts_evidence_says_what_was_compared(alerts: list[dict[str, Any]]) -> None:
    evidence = {(row["source_offset"], row["rule_id"]): row["evidence"] for row in alerts}
    assert evidence[0, "high"] == {"amount": "100.01", "threshold": "100.00", "currency": "EUR"}
    assert evidence[8, "rapid"] == {
        "count": "3",
        "limit": "2",
        "window_seconds": "60",
        "lookback": "2",
        "transaction_ids": f"{transaction_id(5)} {transaction_id(6)} {transaction_id(8)}",
    }
    assert evidence[15, "night"] == {
        "local_hour": "1", "start_hour": "1", "end_hour": "5", "time_zone": "America/New_York", "amount": "50.00",
        "minimum_amount": "50.00", "currency": "EUR",
    }  # fmt: skip
    assert ZoneInfo(evidence[15, "night"]["time_zone"])
