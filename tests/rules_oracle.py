"""What each rule kind must say, in plain Python: a second definition, to hold the one that runs in Flink to.

Written from the rules page alone, record by record, without a line of the rules' own SQL.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from streaming.rules.base import Rule
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour


@dataclass(frozen=True)
class Transaction:
    """One valid transaction where it stood in the log; `event_time` is aware."""

    transaction_id: str
    event_time: datetime
    account_id: str
    amount: Decimal
    currency: str
    merchant_category: str
    channel: str
    country: str
    kafka_partition: int
    kafka_offset: int

    def as_row(self) -> dict[str, object]:
        """As a line of JSON holds it."""
        time = f"{self.event_time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{self.event_time.microsecond // 1000:03}Z"
        return {**vars(self), "event_time": time, "amount": str(self.amount)}


Hits = dict[tuple[str, int], dict[str, str]]


def hits_of(rules: Iterable[Rule], log: Iterable[Transaction]) -> Hits:
    """The evidence of every hit, by rule id and offset; `log` is in order of arrival."""
    log = tuple(log)
    found: Hits = {}
    for rule in rules:
        past = defaultdict[str, list[Transaction]](list)
        for one in log:
            evidence = _judge(rule, one, past[one.account_id])
            if evidence is not None:
                found[rule.id, one.kafka_offset] = evidence
            past[one.account_id].append(one)
    return found


def _judge(rule: Rule, one: Transaction, past: list[Transaction]) -> dict[str, str] | None:
    match rule:
        case HighValue():
            return _high_value(rule, one)
        case RapidActivity():
            return _rapid_activity(rule, one, past)
        case UnusualHour():
            return _unusual_hour(rule, one)
        case _:
            raise AssertionError(f"no oracle for {rule}")


def _high_value(rule: HighValue, one: Transaction) -> dict[str, str] | None:
    threshold = rule.thresholds.get(one.currency)
    if threshold is None or one.amount <= threshold:
        return None
    evidence = {"amount": f"{one.amount:.2f}", "threshold": f"{threshold:.2f}", "currency": one.currency}
    if rule.merchant_categories:
        if one.merchant_category not in rule.merchant_categories:
            return None
        evidence["merchant_category"] = one.merchant_category
    if rule.channels:
        if one.channel not in rule.channels:
            return None
        evidence["channel"] = one.channel
    return evidence


def _rapid_activity(rule: RapidActivity, one: Transaction, past: list[Transaction]) -> dict[str, str] | None:
    start = one.event_time - timedelta(seconds=rule.window_seconds)
    near = [other for other in (*past[-rule.lookback :], one) if start <= other.event_time <= one.event_time]
    if rule.count is not None and len(near) <= rule.count:
        return None
    evidence = {
        "count": str(len(near)),
        "window_seconds": str(rule.window_seconds),
        "lookback": str(rule.lookback),
        "transaction_ids": " ".join(other.transaction_id for other in near),
    }
    if rule.count is not None:
        evidence["limit"] = str(rule.count)
    if rule.total_amounts is not None:
        limit = rule.total_amounts.get(one.currency)
        total = sum((other.amount for other in near if other.currency == one.currency), Decimal(0))
        if limit is None or total <= limit:
            return None
        evidence |= {"total_amount": f"{total:.2f}", "amount_limit": f"{limit:.2f}", "currency": one.currency}
    return evidence


def _unusual_hour(rule: UnusualHour, one: Transaction) -> dict[str, str] | None:
    minimum = rule.minimum_amounts.get(one.currency)
    zone = rule.zones.get(one.country, "UTC")
    hour = one.event_time.astimezone(ZoneInfo(zone)).hour
    hours = [h % 24 for h in range(rule.start_hour, rule.end_hour + (24 if rule.end_hour < rule.start_hour else 0))]
    if minimum is None or one.amount < minimum or hour not in hours:
        return None
    return {
        "local_hour": str(hour),
        "start_hour": str(rule.start_hour),
        "end_hour": str(rule.end_hour),
        "time_zone": zone,
        "amount": f"{one.amount:.2f}",
        "minimum_amount": f"{minimum:.2f}",
        "currency": one.currency,
    }
