"""The generator keeps the transaction contract, breaks it as it says, and means by fraud what the rules mean."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
import yaml

from contracts.paths import config_folder
from contracts.schema import load_contract
from generator.config import GeneratorConfig
from generator.encoding import encode
from generator.malformed import MALFORMATIONS, Malformation
from generator.places import COUNTRIES, PRICE_LEVEL_PERCENT
from generator.spending import LARGEST_CENTS
from generator.traffic import Batch, Traffic

NOW = datetime(2026, 11, 22, 12, 0, 0, 5_000, tzinfo=UTC)
VALIDATOR = jsonschema_rs.Draft202012Validator(load_contract("transaction").schema, validate_formats=True)
REASON_OF_KEYWORD = {
    "required": "missing_field",
    "type": "wrong_type",
    "pattern": "bad_format",
    "format": "bad_format",
    "enum": "not_in_enum",
    "minLength": "out_of_range",
    "maxLength": "out_of_range",
}


def _verdicts(value: bytes | None) -> set[str]:
    """Every reason there is to refuse a Kafka value: an oracle that shares no code with the pipeline's validation."""
    if value is None:
        return {"no_payload"}
    try:
        record = json.loads(value.decode("utf-8"))
    except UnicodeDecodeError:
        return {"not_utf8"}
    except ValueError:
        return {"malformed_json"}
    if not isinstance(record, dict):
        return {"not_an_object"}
    return {REASON_OF_KEYWORD[str(error.schema_path[-1])] for error in VALIDATOR.iter_errors(record)}


def _record() -> dict[str, str]:
    batch = Traffic(GeneratorConfig(fraud_percent=0, malformed_percent=0), seed=1).batch(1, NOW)
    record: dict[str, str] = json.loads(encode(batch, 0, 1, now=NOW)[0] or b"")
    return record


@pytest.mark.parametrize("seed", [1, 2])
def test_encode_every_record_is_valid_or_refused_for_the_reason_it_was_broken_for(seed: int) -> None:
    traffic = Traffic(GeneratorConfig(fraud_percent=10, malformed_percent=10), seed=seed)
    batch = traffic.batch(3000, NOW)
    for i, value in enumerate(encode(batch, 0, 3000, now=NOW)):
        broken = batch.malformations.get(i)
        assert _verdicts(value) == ({broken.reason} if broken else set()), (seed, i, value)


@pytest.mark.parametrize("way", MALFORMATIONS.values(), ids=lambda way: way.name)
def test_malformation_breaks_one_thing_and_says_whether_the_id_survives(way: Malformation) -> None:
    record = _record()
    value = way.breaks(record)
    assert _verdicts(value) == {way.reason}
    assert record == _record(), "the valid record was changed"
    try:
        found = json.loads(value or b"")
    except ValueError:
        found = None
    survives = isinstance(found, dict) and found.get("transaction_id") == record["transaction_id"]
    assert way.identified == survives


def test_malformations_reasons_are_of_the_dead_letter_contract() -> None:
    known = set(load_contract("dead-letter").field("reason_code").rules["enum"])
    assert {way.reason for way in MALFORMATIONS.values()} == known - {"too_large", "validator_disagreement"}


def test_encode_keys_are_in_the_contracts_order_without_white_space() -> None:
    batch = Traffic(GeneratorConfig(malformed_percent=0), seed=3).batch(10, NOW)
    value = encode(batch, 0, 10, now=NOW)[0] or b""
    order = [field.name for field in load_contract("transaction").fields]
    assert list(json.loads(value)) == order
    assert value == json.dumps(json.loads(value), separators=(",", ":")).encode()


def _rules() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((config_folder() / "alerting-rules.yaml").read_text(encoding="utf-8"))
    return content


def _rule(kind: str) -> dict[str, Any]:
    rule: dict[str, Any] = next(rule for rule in _rules()["rules"] if rule["kind"] == kind)
    return rule


def test_countries_have_the_time_zones_by_which_the_rules_judge() -> None:
    assert {country.code: country.zone.key for country in COUNTRIES} == _rules()["time_zones"]


def test_countries_pay_in_currencies_of_the_contract() -> None:
    listed = load_contract("transaction").field("currency").rules["enum"]
    assert {country.currency for country in COUNTRIES} == set(listed) == set(PRICE_LEVEL_PERCENT)


@pytest.mark.parametrize("currency", PRICE_LEVEL_PERCENT)
def test_amounts_of_each_scenario_lie_on_their_side_of_the_rules(currency: str) -> None:
    level = Decimal(PRICE_LEVEL_PERCENT[currency]) / 100
    threshold = Decimal(_rule("high_value")["thresholds"][currency])
    minimum = Decimal(_rule("unusual_hour")["minimum_amounts"][currency])
    scenarios = GeneratorConfig().scenarios
    assert LARGEST_CENTS * level / 100 < threshold
    assert scenarios.high_value.smallest * level >= 2 * threshold
    assert minimum < scenarios.unusual_hour.smallest * level
    assert scenarios.unusual_hour.largest * level < threshold


def test_scenarios_fit_the_rules_night_and_burst() -> None:
    scenarios, night, burst = GeneratorConfig().scenarios, _rule("unusual_hour"), _rule("rapid_activity")
    assert (scenarios.unusual_hour.start_hour, scenarios.unusual_hour.end_hour) == (
        night["start_hour"],
        night["end_hour"],
    )
    assert scenarios.rapid_activity.transactions > burst["count"]
    assert scenarios.rapid_activity.seconds < burst["window_seconds"]


def test_traffic_high_value_records_are_above_the_threshold_and_no_others() -> None:
    thresholds = {currency: Decimal(text) for currency, text in _rule("high_value")["thresholds"].items()}
    batch: Batch = Traffic(GeneratorConfig(fraud_percent=10), seed=4).batch(4096, NOW)
    for amount, currency, label in zip(batch.columns["amount"], batch.columns["currency"], batch.labels, strict=True):
        assert (Decimal(amount) > thresholds[currency]) == (label == "high_value")
