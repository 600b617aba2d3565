"""Which changes of the contracts the jobs' state and the tables can follow, and what the others are answered with."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ConfigError
from contracts.schema import load_contract
from operations.contract_changes import contracts_have_grown
from streaming.checkpoints import record_contracts
from tests.config_copies import changed_contract, copy_of_config, with_optional_fields

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the configuration with optional fields, under which a job has written its state."""
    folder = with_optional_fields(copy_of_config(tmp_path))
    monkeypatch.setenv("PIPELINE_CONFIG", str(folder))
    load_contract.cache_clear()
    record_contracts(tmp_path, "lakehouse", "aaaa")
    yield folder
    load_contract.cache_clear()


def grown(config: Path, change: Change, name: str = "transaction") -> bool:
    """The verdict on the state after `change`."""
    changed_contract(config, name, change)
    load_contract.cache_clear()
    return contracts_have_grown(config.parent, "lakehouse", "aaaa")


def rules(field: str, **changed: object) -> Change:
    return lambda schema: schema["properties"][field].update(changed)


def without(field: str, rule: str) -> Change:
    return lambda schema: schema["properties"][field].pop(rule)


def added(field: str, *, required: bool) -> Change:
    def change(schema: dict[str, Any]) -> None:
        schema["properties"][field] = {"type": "string", "description": "New."}
        if required:
            schema["required"].append(field)

    return change


def removed(field: str) -> Change:
    def change(schema: dict[str, Any]) -> None:
        del schema["properties"][field]
        schema["required"] = [name for name in schema["required"] if name != field]

    return change


def renamed_order(schema: dict[str, Any]) -> None:
    fields = schema["properties"]
    schema["properties"] = {"timestamp": fields["timestamp"], **fields}


def test_contracts_have_grown_unchanged_contracts_have_not(config: Path) -> None:
    assert not grown(config, lambda schema: None)


def test_contracts_have_grown_state_without_a_record_of_them_is_unknown(config: Path) -> None:
    assert not contracts_have_grown(config.parent, "lakehouse", "bbbb")


def test_contracts_have_grown_other_words_alone_are_no_growth(config: Path) -> None:
    assert not grown(config, rules("amount", description="Another description."))


@pytest.mark.parametrize(
    "change",
    [
        added("new", required=False), without("channel", "enum"), rules("channel", enum=["pos", "online", "atm", "x"]),
        without("merchant_category", "pattern"), rules("merchant_name", maxLength=200), rules("note", maxLength=21),
        rules("merchant_category", pattern="^[0-9]{4}$|^[A-Z]{4}$"),
        without("note", "maxLength"), lambda schema: schema["x-limits"].update(bytes=40_000),
    ],
)  # fmt: skip
def test_contracts_have_grown_optional_field_or_looser_rule_is_growth(config: Path, change: Change) -> None:
    assert grown(config, change)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (removed("channel"), "channel", "no longer in the contract"),
        (removed("note"), "note", "no longer in the contract"),
        (added("new", required=True), "new", "new and required"),
        (lambda schema: schema["required"].append("device"), "device", "Before: optional {.*now: required {"),
        (lambda schema: schema["required"].remove("country"), "country", "Before: required {.*now: optional {"),
        (rules("amount", **{"x-type": "string"}), "amount", r"Before: .*decimal\(14,2\).*now: .*string"),
        (rules("channel", **{"x-column": "way"}), "channel", "now: .*'x-column': 'way'"),
        (rules("channel", enum=["pos"]), "channel", r"Before: .*'atm'.*now: .*\['pos'\]"),
        (rules("merchant_category", pattern="^[0-9]{5}$"), "merchant_category", r"\{4\}.*now: .*\{5\}"),
        (rules("merchant_category", pattern="^[0-9]{5}$|^[0-9]{4}$"), "merchant_category", r"\{4\}.*now: .*\{5\}"),
        (rules("merchant_name", maxLength=99), "merchant_name", "100.*now: .*99"),
        (rules("merchant_name", minLength=2), "merchant_name", "'minLength': 1.*now: .*'minLength': 2"),
        (rules("note", minLength=1), "note", "now: .*'minLength': 1"),
        (rules("note", type="string"), "note", r"\['string', 'null'\].*now: .*'type': 'string'"),
        (without("amount", "pattern"), "amount", "Before: .*'pattern'.*now: "),
        (without("settled", "format"), "settled", "Before: .*'format'.*now: "),
        (renamed_order, "timestamp", "stands where transaction_id was"),
    ],
)
def test_contracts_have_grown_other_change_is_refused_with_field_and_both_rules(
    config: Path, change: Change, field: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refusal:
        grown(config, change)
    assert refusal.value.path == f"properties.{field}"
    assert refusal.value.source == config / "contracts" / "transaction.schema.json"
    assert "pipeline reset" in str(refusal.value)


def test_contracts_have_grown_change_of_another_contract_is_named_by_its_file(config: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        grown(config, removed("severity"), "alert")
    assert refusal.value.source == config / "contracts" / "alert.schema.json"
