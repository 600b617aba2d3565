"""The rule book: each kind as the SQL it becomes, and every mistake in the file answered with its place."""

from decimal import Decimal
from pathlib import Path

import pytest

from contracts.errors import ConfigError
from streaming.rules.base import Rule
from streaming.rules.book import load_rules
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour
from tests.config_copies import replaced
from tests.conftest import Golden

RULES = "alerting-rules.yaml"
HIGH = HighValue(
    id="high",
    version="1",
    severity="high",
    kind="high_value",
    thresholds={"JPY": Decimal(700_000), "EUR": Decimal("4500.5")},
)
NARROWED = HIGH.model_copy(update={"merchant_categories": ("5411", "6011"), "channels": ("online",)})
RAPID = RapidActivity(id="rapid", version="2.0", severity="critical", kind="rapid_activity", count=5, window_seconds=60)
SPENDING = RapidActivity(
    id="spending", severity="high", kind="rapid_activity", count=2, total_amounts={"EUR": Decimal(1000)},
    window_seconds=600, lookback=3,
)  # fmt: skip
NIGHT = UnusualHour(
    id="night", version="1", severity="medium", kind="unusual_hour", start_hour=1, end_hour=5,
    minimum_amounts={"EUR": Decimal(200)}
)  # fmt: skip
OVER_MIDNIGHT = NIGHT.model_copy(
    update={"id": "late", "start_hour": 22, "zones": {"JP": "Asia/Tokyo", "US": "America/New_York"}}
)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("high_value", HIGH),
        ("rapid_activity", RAPID),
        ("high_value_narrowed", NARROWED),
        ("rapid_activity_total", SPENDING),
        ("unusual_hour", NIGHT),
        ("unusual_hour_over_midnight", OVER_MIDNIGHT),
    ],
)
def test_alerts_of_a_rule_is_the_golden(name: str, rule: Rule, golden: Golden) -> None:
    golden(f"flink/rules/{name}.sql", rule.alerts("some_transactions", "arrived") + "\n")


def test_load_rules_project_file_has_the_three_kinds_in_force() -> None:
    assert [rule.kind for rule in load_rules().in_force] == ["high_value", "rapid_activity", "unusual_hour"]


def test_load_rules_time_zones_reach_the_rule_that_needs_them() -> None:
    night = load_rules().in_force[2]
    assert isinstance(night, UnusualHour)
    assert night.zones["JP"] == "Asia/Tokyo"


def test_alerts_disabled_rule_leaves_no_trace(config: Path) -> None:
    replaced(config / "alerting-rules.yaml", "enabled: true", "enabled: false")
    sql = load_rules(config).alerts("transactions", "arrived")
    assert "'high-value'" not in sql
    assert sql.count("UNION ALL") == 1


def test_alerts_single_rule_needs_no_union(config: Path) -> None:
    for _ in range(2):
        replaced(config / "alerting-rules.yaml", "enabled: true", "enabled: false")
    assert "UNION ALL" not in load_rules(config).alerts("transactions", "arrived")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("kind: high_value", "kind: low_value", "'low_value'"),
        ('USD: "5000.00"', "USD: 5000.00", "write money as text in quotes"),
        ('USD: "5000.00"', "USD: 5000", "write money as text in quotes"),
        ('USD: "5000.00"', 'USD: "5,000.00"', "valid decimal"),
        ('USD: "5000.00"', 'USD: "5000.001"', "2 decimal places"),
        ('USD: "5000.00"', 'USD: "-1.00"', "greater than or equal to 0"),
        ('USD: "5000.00"', 'USD: "NaN"', "finite"),
        ('USD: "5000.00"', 'XTS: "5000.00"', "no such currency in the contract (found 'XTS')"),
        ("US: America/New_York", "US: America/Atlantis", "no such time zone (found 'America/Atlantis')"),
        ("US: America/New_York", "US: America", "no such time zone (found 'America')"),
        ("US: America/New_York", "US: ../../etc/passwd", "no such time zone"),
        ("US: America/New_York", 'US: ""', "no such time zone"),
        ("US: America/New_York", "ZZ: UTC", "no such country in the contract (found 'ZZ')"),
        ("severity: critical", "severity: dire", "'critical' (found 'dire')"),
        ("id: rapid-activity", "id: Rapid Activity", "pattern"),
        ("id: rapid-activity", 'id: "x\' OR 1=1"', "pattern"),
        ('version: "1"', "version: 1", "valid string (found 1)"),
        ("count: 5 ", "count: 0 ", "greater than or equal to 1"),
        ("count: 5 ", "count: many ", "found 'many'"),
        ("window_seconds: 60", "window_seconds: 700000", "less than or equal to 604800"),
        ("window_seconds: 60", "lookback: 4\n    window_seconds: 60", "lookback 4 is too short for a count of 5"),
        ("window_seconds: 60", "lookback: 31\n    window_seconds: 60", "less than or equal to 30"),
        ("    count: 5 ", "    # ", "there is no limit: give count, total_amounts or both"),
        ("    thresholds:", "    channels: [post]\n    thresholds:", "no such channel in the contract (found 'post')"),
        ("    thresholds:", '    merchant_categories: ["54"]\n    thresholds:', "no such merchant category"),
        ("window_seconds: 60", "window_minutes: 1", "Field required"),
        ("start_hour: 1 ", "start_hour: 24 ", "less than or equal to 23"),
        ("start_hour: 1 ", "zones: {US: Asia/Tokyo}\n    start_hour: 1 ", "unknown key"),
        ("    count: 5", "    colour: red\n    count: 5", "unknown key"),
        ("time_zones:", "timezones:", "unknown key"),
    ],
)
def test_load_rules_mistake_is_answered_with_file_line_and_reason(
    config: Path, old: str, new: str, reason: str
) -> None:
    path = config / "alerting-rules.yaml"
    line = replaced(path, old, new)
    with pytest.raises(ConfigError) as refusal:
        load_rules(config)
    assert refusal.value.source == path
    assert refusal.value.line is not None
    # A rule that lacks a key or contradicts itself is pointed at by its first line, all else by its own.
    whole = any(words in reason for words in ("Field required", "too short", "no limit"))
    assert refusal.value.line == line or (refusal.value.line < line and (whole or "kind" in old))
    assert reason in refusal.value.reason


def test_load_rules_two_rules_of_one_id_are_refused_by_name(config: Path) -> None:
    replaced(config / "alerting-rules.yaml", "id: rapid-activity", "id: high-value")
    with pytest.raises(ConfigError, match=r"alerting-rules.yaml:\d+: rules: two rules are called high-value"):
        load_rules(config)


def test_load_rules_empty_span_of_hours_is_refused(config: Path) -> None:
    replaced(config / "alerting-rules.yaml", "start_hour: 1", "start_hour: 5")
    with pytest.raises(ConfigError, match=r"alerting-rules.yaml:\d+: .*the span is empty"):
        load_rules(config)


def test_load_rules_nothing_enabled_is_refused(config: Path) -> None:
    for _ in range(3):
        replaced(config / "alerting-rules.yaml", "enabled: true", "enabled: false")
    with pytest.raises(ConfigError, match=r"alerting-rules.yaml:\d+: rules: no rule is enabled"):
        load_rules(config)


def test_load_rules_no_rules_at_all_is_refused(config: Path) -> None:
    (config / "alerting-rules.yaml").write_text("rules: []\n")
    with pytest.raises(ConfigError, match=r"alerting-rules.yaml:1: rules: .*at least 1 item"):
        load_rules(config)


def test_load_rules_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"alerting-rules.yaml: no such file"):
        load_rules(tmp_path)


def test_rule_version_without_a_version_is_the_hash_of_the_content(config: Path) -> None:
    replaced(config / RULES, 'version: "1"\n', "\n")
    (rule, *_) = load_rules(config).in_force
    assert rule.version is None
    assert rule.rule_version == rule.content_hash
    assert f"'{rule.content_hash}' AS rule_version" in rule.alerts("transactions", "arrived")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('USD: "5000.00"', 'USD: "5000.01"'),
        ("severity: high", "severity: low"),
        ("id: high-value", "id: higher-value"),
    ],
)
def test_content_hash_of_a_changed_rule_is_another(config: Path, old: str, new: str) -> None:
    (before, *_) = load_rules(config).in_force
    replaced(config / RULES, old, new)
    (after, *_) = load_rules(config).in_force
    assert after.content_hash != before.content_hash


def test_content_hash_same_rule_written_otherwise_is_the_same(config: Path) -> None:
    (before, *_) = load_rules(config).in_force
    replaced(config / RULES, 'USD: "5000.00"', "USD: '5000.0'  # the same money")
    replaced(config / RULES, 'version: "1"', 'version: "2"')
    (after, *_) = load_rules(config).in_force
    assert after.content_hash == before.content_hash


def test_content_hash_of_unusual_hour_changes_with_the_time_zones(config: Path) -> None:
    before = load_rules(config).in_force[2]
    replaced(config / RULES, "JP: Asia/Tokyo", "JP: Asia/Seoul")
    assert load_rules(config).in_force[2].content_hash != before.content_hash


def test_memory_seconds_is_that_of_the_longest_window(config: Path) -> None:
    assert load_rules(config).memory_seconds == 60
    replaced(config / RULES, "window_seconds: 60", "window_seconds: 900")
    assert load_rules(config).memory_seconds == 900


def test_memory_seconds_of_a_book_without_windows_is_0(config: Path) -> None:
    (config / RULES).write_text("rules: [{id: a, kind: high_value, severity: low, thresholds: {EUR: '1.00'}}]")
    assert load_rules(config).memory_seconds == 0
