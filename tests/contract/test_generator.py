"""The generator keeps the transaction contract, breaks it as it says, and means by fraud what the rules mean."""

import json
from decimal import Decimal
from typing import Any

import jsonschema_rs
import pytest
import yaml

from contracts.paths import config_folder
from contracts.schema import load_contract
from generator.config import GeneratorConfig
from generator.fraud import LABELS
from generator.malformed import MALFORMATIONS, Malformation
from generator.places import COUNTRIES, PRICE_LEVEL_PERCENT
from generator.traffic import SCENARIOS, Traffic
from tests.generated import quiet, sample

VALIDATOR = jsonschema_rs.Draft202012Validator(load_contract("transaction").schema, validate_formats=True)
LIMITS = load_contract("transaction").schema["x-limits"]
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
    if len(value) > LIMITS["bytes"] or value.count(b"[") + value.count(b"{") > LIMITS["containers"]:
        return {"too_large"}
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
    record: dict[str, str] = json.loads(sample(Traffic(quiet(), seed=1), 1).values[0] or b"")
    return record


@pytest.mark.parametrize("seed", [1, 2])
def test_encode_every_record_is_valid_or_refused_for_the_reason_it_was_broken_for(seed: int) -> None:
    disturbed = {"malformed_percent": 10, "duplicate_percent": 2}
    config = GeneratorConfig.model_validate({"fraud_percent": 10, "disturbances": disturbed})
    drawn = sample(Traffic(config, seed=seed), 3000)
    for i, value in enumerate(drawn.values):
        broken = drawn.batch.malformations.get(i)
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
    assert {way.reason for way in MALFORMATIONS.values()} == known - {"validator_disagreement", "skipped"}


def test_encode_keys_are_in_the_contracts_order_without_white_space() -> None:
    value = sample(Traffic(quiet(), seed=3), 10).values[0] or b""
    order = [field.name for field in load_contract("transaction").fields]
    assert list(json.loads(value)) == order
    assert value == json.dumps(json.loads(value), separators=(",", ":"), ensure_ascii=False).encode()


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
    assert scenarios.high_value.smallest * level >= 2 * threshold
    assert minimum < scenarios.unusual_hour.smallest * level
    assert scenarios.unusual_hour.largest * level < threshold
    for quieter in (scenarios.impossible_travel.largest, scenarios.merchant_ring.largest + 5,
                    scenarios.velocity_burst.final_amount):  # fmt: skip
        assert quieter * level < threshold


def test_scenarios_fit_the_rules_night_and_burst() -> None:
    scenarios, night, burst = GeneratorConfig().scenarios, _rule("unusual_hour"), _rule("rapid_activity")
    assert (scenarios.unusual_hour.start_hour, scenarios.unusual_hour.end_hour) == (
        night["start_hour"],
        night["end_hour"],
    )
    assert scenarios.velocity_burst.transactions > burst["count"]
    assert scenarios.velocity_burst.seconds < burst["window_seconds"]


def test_traffic_high_value_records_are_above_the_threshold_and_hardly_any_others() -> None:
    thresholds = {currency: Decimal(text) for currency, text in _rule("high_value")["thresholds"].items()}
    drawn = sample(Traffic(quiet(fraud_percent=10), seed=4), 50_000)
    others = 0
    for value, code in zip(drawn.values, drawn.batch.scenario.tolist(), strict=True):
        record = json.loads(value or b"")
        above = Decimal(record["amount"]) > thresholds[record["currency"]]
        if SCENARIOS[code] == "high_value":
            assert above
        else:
            others += above
    # The wealthy pay so much once in some 50,000 records: what a rule by amount alone cannot tell from fraud.
    assert others < 10


def test_labels_of_scenarios_are_those_of_the_configuration() -> None:
    assert set(LABELS) == set(GeneratorConfig().scenarios.model_dump())
