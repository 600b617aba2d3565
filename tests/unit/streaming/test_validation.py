"""The patterns made of the contract: the verdicts they give, and the contracts they cannot express.

Python's regular expressions stand in for Java's here, which makes thousands of records cheap;
`tests/integration/test_validation_in_flink.py` judges by the real thing.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from contracts.errors import ConfigError
from contracts.schema import Contract, load_contract
from streaming.field_patterns import longest
from streaming.validation import (
    VALUE,
    WELL_PAIRED,
    canonical_expression,
    canonical_pattern,
    fast_expression,
    fast_pattern,
    limits_pattern,
    quote,
)
from tests.config_copies import changed_contract, with_optional_fields
from tests.mutant_records import mutants
from tests.nasty_records import ANY_VALUE, TEXTS, VALID, compact, nasty
from tests.reference_judge import accepts

CONTRACT = load_contract("transaction")
VALIDATOR = Draft202012Validator(CONTRACT.schema, validate_formats=True)
SEED = 20261122
# Derandomized: the same records every time, so a failure is repeated by running the test again.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=600)


def in_python(java: str) -> re.Pattern[str]:
    """A pattern for Java as Python writes it: the end of the text is the only difference in what is used here."""
    return re.compile(java.replace(r"\z", r"\Z"))


FAST = in_python(fast_pattern(CONTRACT))
CANONICAL = in_python(canonical_pattern(CONTRACT))
PAIRED = in_python(WELL_PAIRED)


def as_jackson(record: dict[str, Any]) -> str:
    """The canonical text of a record: the contract's fields by name, control characters in capital digits."""
    known = {name: record[name] for name in sorted(VALID) if name in record}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    return re.sub(
        r"\\(?:u[0-9a-f]{4}|.)", lambda found: "\\u" + found[0][2:].upper() if found[0][1] == "u" else found[0], text
    )


@st.composite
def records(draw: st.DrawFn) -> dict[str, object]:
    """Valid records with one or two fields changed, by a character or altogether."""
    record: dict[str, object] = dict(VALID)
    for field in draw(st.lists(st.sampled_from(list(VALID)), min_size=0, max_size=2)):
        text = draw(st.sampled_from((VALID[field], *TEXTS[field])))
        place = draw(st.integers(0, len(text)))
        piece = draw(
            st.one_of(
                st.just(""), st.sampled_from('0123456789-:.TZaAzZ \n"\\{}٣'), st.characters(exclude_categories=["Cs"])
            )
        )
        edited = text[:place] + piece + text[place + draw(st.integers(0, 1)) :]
        record[field] = draw(st.one_of(st.just(edited), st.just(text), st.sampled_from(ANY_VALUE)))
    if draw(st.integers(0, 9)) == 0:
        del record[draw(st.sampled_from(list(record)))]
    return record


@given(records())
@settings(settings.get_profile("repeatable"))
@example(VALID)
def test_canonical_pattern_verdict_is_the_validators(record: dict[str, object]) -> None:
    assert bool(CANONICAL.search(as_jackson(record))) == VALIDATOR.is_valid(record), as_jackson(record)


@given(
    records(),
    st.integers(0, 310),
    st.integers(0, 3),
    st.sampled_from(("", '"', "\\", ",", ":", " ", "\n", "}", "x", "\ufffd", '"x":1,')),
    st.booleans(),
)
@settings(settings.get_profile("repeatable"))
def test_fast_pattern_accepts_only_what_the_contract_accepts(
    record: dict[str, object], place: int, length: int, piece: str, compactly: bool
) -> None:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":") if compactly else (", ", ": "))
    for candidate in (text, text[:place] + piece + text[place + length :]):
        if FAST.search(candidate):
            assert accepts(candidate.encode()) is not None, candidate


def test_patterns_over_the_nasty_records_agree_with_the_reference() -> None:
    taken = {"fast": 0, "canonical": 0}
    for name, payload in (*nasty(), *mutants(SEED, 3000)):
        if payload is None or len(payload) > 100_000:
            continue
        fields = accepts(payload)
        if FAST.search(payload.decode("utf-8", "replace")):
            taken["fast"] += 1
            assert fields is not None, (name, payload)
        if fields is not None:
            taken["canonical"] += 1
            assert CANONICAL.search(as_jackson(dict(fields))), (name, payload)
            assert PAIRED.search(payload.decode()), (name, payload)
    assert taken["fast"] > 200, taken
    assert taken["canonical"] > 1000, taken


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("name", ["Grocery & Sons", "Café", "田" * 100, "😀" * 100, "'", "a:b, c"])
def test_fast_pattern_plain_records_take_the_fast_way(separators: tuple[str, str], name: str) -> None:
    assert FAST.search(json.dumps({**VALID, "merchant_name": name}, ensure_ascii=False, separators=separators))


@pytest.mark.parametrize("name", ["Grocery", 'a": "b', '": "', "\\", '\\": \\"', "\n", ":", '","amount":"9.99', "\x00"])
def test_value_pattern_lists_the_values_whatever_they_hold(name: str) -> None:
    record = {**VALID, "merchant_name": name}
    found = re.findall(VALUE, as_jackson(record))
    assert [json.loads(f'"{value}"') for value in found] == [record[field] for field in sorted(record)]


@pytest.mark.parametrize(
    ("text", "paired"),
    [
        ("plain", True), (r"\ud83d\ude00", True), (r"\uD83D\uDE00x", True), (r"\\ud83d", True), (r"\\\\ud83d\\ude00",
        True), (r"\u0041", True),
        (r"\ud83d", False), (r"\ude00", False), (r"\ude00\ud83d", False), (r"\\\ud83d", False), (r"\ud83d\\ude00",
        False), (r"\ud83d\ud83d\ude00", False),
        (r"\ud83d\u0041", False), (r"\uDBFF\uDFFF", True), (r"\uDFFF", False), (r"\ud7ff\ue000", True),
    ],
)  # fmt: skip
def test_well_paired_pattern_finds_every_lone_surrogate(text: str, paired: bool) -> None:
    assert bool(PAIRED.search(text)) == paired


def test_canonical_expression_names_every_field_in_order() -> None:
    sql = canonical_expression(CONTRACT, "t.content")
    assert sql.startswith("JSON_QUERY('['||t.content||']', 'lax $[0][''account_id'',''amount'',")
    assert re.findall(r"''(\w+)''", sql) == sorted(VALID)


def test_quote_doubles_quotes_and_nothing_else() -> None:
    assert quote(r"it's \n") == r"'it''s \n'"


# ------------------------------------------------------------------ contracts that cannot be expressed


def changed(config: Path, monkeypatch: pytest.MonkeyPatch, field: str, rules: dict[str, object]) -> Contract:
    """The transaction contract with the field's rules replaced."""
    changed_contract(config, "transaction", lambda schema: schema["properties"].update({field: rules}))
    return reloaded(config, monkeypatch)


def reloaded(config: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    return load_contract.__wrapped__("transaction")


@pytest.mark.parametrize(
    ("rules", "rule", "reason"),
    [
        ({"type": "integer"}, "type", "'integer' cannot be judged"),
        ({"type": ["string", "null"]}, "type", "cannot be judged"),
        ({}, "type", "None cannot be judged"),
        ({"type": "string", "const": "x"}, "const", "cannot be judged"),
        ({"type": "string", "contentEncoding": "base64"}, "contentEncoding", "cannot be judged"),
        ({"type": "string", "format": "email", "pattern": "^a$"}, "format", "'email' cannot be judged"),
        ({"type": "string", "format": "date-time"}, "format", "needs the pattern"),
        ({"type": "string", "pattern": "^a$", "maxLength": 3}, "pattern", "cannot be judged together"),
        ({"type": "string", "enum": ["a"], "pattern": "^a$"}, "pattern", "cannot be judged together"),
        ({"type": "string", "pattern": "a$"}, "pattern", "anchored at both ends"),
        ({"type": "string", "pattern": "^a"}, "pattern", "anchored at both ends"),
        ({"type": "string", "pattern": r"^a\$"}, "pattern", "anchored at both ends"),
        ({"type": "string", "pattern": "^a|b$"}, "pattern", "alternatives into a group"),
        ({"type": "string", "pattern": "^(?:a|b)|c$"}, "pattern", "alternatives into a group"),
        ({"type": "string", "pattern": "^(?:ab)*$"}, "pattern", "unbounded repeated group"),
        ({"type": "string", "pattern": "^(?:a|b)+$"}, "pattern", "unbounded repeated group"),
        ({"type": "string", "pattern": "^(a|b){2,}$"}, "pattern", "unbounded repeated group"),
        ({"type": "string", "pattern": "^.{1,5}$"}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": "^[^x]+$"}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": r"^\d+$"}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": '^"a"$'}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": "^[ -z]+$"}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": "^[A-z]+$"}, "pattern", "letters, digits"),
        ({"type": "string", "pattern": r"^(?i)a$"}, "pattern", "letters, digits"),
    ],
)
def test_patterns_rule_that_cannot_be_expressed_is_refused_with_its_place(
    config: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, object], rule: str, reason: str
) -> None:
    contract = changed(config, monkeypatch, "channel", rules)
    for pattern in (fast_pattern, canonical_pattern):
        with pytest.raises(ConfigError, match=reason) as refusal:
            pattern(contract)
        assert refusal.value.path == f"properties.channel.{rule}"
        assert refusal.value.source == config / "contracts" / "transaction.schema.json"


@pytest.mark.parametrize("value", ["a.b", 'a"b', "", "é", 1])
def test_patterns_enum_value_that_needs_an_escape_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    contract = changed(config, monkeypatch, "channel", {"type": "string", "enum": ["pos", value]})
    with pytest.raises(ConfigError, match="needs an escape"):
        fast_pattern(contract)


def test_patterns_optional_field_before_a_required_one_is_refused_with_the_remedy(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_contract(config, "transaction", lambda schema: schema["required"].remove("channel"))
    with pytest.raises(ConfigError, match="put it behind country") as refusal:
        fast_pattern(reloaded(config, monkeypatch))
    assert refusal.value.path == "properties.channel"


def test_patterns_contract_with_one_required_field_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed_contract(config, "transaction", lambda schema: schema.update(required=["transaction_id"]))
    with pytest.raises(ConfigError, match="at least two fields must be required"):
        canonical_pattern(reloaded(config, monkeypatch))


@pytest.mark.parametrize("name", ["a.b", "a b", 'a"b', "", "a'b", "1a", "é"])
def test_patterns_name_that_needs_an_escape_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed_contract(config, "transaction", lambda schema: schema["properties"].update({name: {"type": "string"}}))
    with pytest.raises(ConfigError, match="letters, digits and _"):
        fast_pattern(reloaded(config, monkeypatch))


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        ("note", "x" * 20, True), ("note", "x" * 21, False), ("note", None, True), ("note", 5, False),
        ("device", "DEV123", True), ("device", "DEV12", False), ("device", None, False),
        ("risk", "low", True), ("risk", None, True), ("risk", "medium", False),
        ("settled", "2024-02-29T00:00:00.000Z", True), ("settled", "2023-02-29T00:00:00.000Z", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [{}, {"note": "x", "device": "DEV001", "risk": "high"}])
def test_patterns_optional_field_is_judged_by_its_rules(
    config: Path, monkeypatch: pytest.MonkeyPatch, beside: dict[str, object], name: str, value: object, valid: bool
) -> None:
    contract = reloaded(with_optional_fields(config), monkeypatch)
    order = [field.name for field in contract.fields]
    record = {**VALID, **beside, name: value}
    record = {key: record[key] for key in order if key in record}
    assert Draft202012Validator(contract.schema, validate_formats=True).is_valid(record) == valid
    assert bool(in_python(fast_pattern(contract)).search(compact(record).decode())) == valid
    assert bool(in_python(fast_pattern(contract)).search(json.dumps(record))) == valid
    # As Flink's two queries yield it: the required fields, then the optional ones with the first required field.
    chosen = {key: record[key] for key in sorted((*beside, name, order[0]))}
    canonical = f"[{as_jackson(record)},{compact(chosen).decode()}]"
    assert bool(in_python(canonical_pattern(contract)).search(canonical)) == valid


@pytest.mark.parametrize(
    ("rules", "characters"),
    [
        ({"type": "string", "maxLength": 7}, 7),
        ({"type": "string", "minLength": 7}, math.inf),
        ({"type": "string", "enum": ["a", "abc", "ab"]}, 3),
        ({"type": "string", "pattern": "^(?:a|bc){2,3}$"}, 8),
        ({"type": "string", "pattern": r"^(?!0+\.00$)[0-9]{1,12}\.[0-9]{2}$"}, 17),
        ({"type": "string", "pattern": "^[0-9]+$"}, math.inf),
        ({"type": "string", "pattern": "^(?:(?:a){3}){4}x?$"}, 15),
    ],
)
def test_longest_is_an_upper_bound_of_the_values(
    config: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, object], characters: float
) -> None:
    assert longest(changed(config, monkeypatch, "channel", rules).field("channel")) == characters


def test_fast_expression_tests_the_length_only_where_the_rules_leave_it_open(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "CHAR_LENGTH" not in fast_expression(CONTRACT, "content")
    open_ended = changed(config, monkeypatch, "channel", {"type": "string"})
    assert fast_expression(open_ended, "content").endswith(" AND CHAR_LENGTH(content) <= 8192")


@pytest.mark.parametrize(
    ("structure", "kept"),
    [
        ("{:[" + "[]," * 62 + "]}", True), ("{:[" + "[]," * 63 + "]}", False),
        ("{" + ":," * 128 + "}", True), ("{" + ":," * 129 + "}", False),
        ("{:" + "9" * 100 + "}", True), ("{:" + "9" * 101 + "}", False), ("{:-0." + "9" * 98 + "}", False),
        ("{\n:1e99}", True), ("{\n:1e100}", False), ("{:1E-100}", False), ("{:1e+099}", False), ("{:true,:1}", True),
    ],
)  # fmt: skip
def test_limits_pattern_counts_what_the_contract_limits(structure: str, kept: bool) -> None:
    assert bool(in_python(limits_pattern(CONTRACT)).search(structure)) == kept


@pytest.mark.parametrize(
    "rule", ["additionalProperties", "minProperties", "allOf", "if", "propertyNames", "dependentRequired"]
)
def test_patterns_rule_over_the_whole_record_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    changed_contract(config, "transaction", lambda schema: schema.update({rule: {}}))
    for pattern in (fast_pattern, canonical_pattern):
        with pytest.raises(ConfigError, match="cannot be judged in the stream") as refusal:
            pattern(reloaded(config, monkeypatch))
        assert refusal.value.path == rule


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ({"type": "string"}, ["", "x" * 70_000], [1]),
        ({"type": "string", "minLength": 2}, ["ab", "x" * 70_000], ["a"]),
        ({"type": "string", "maxLength": 2}, ["", "ab"], ["abc"]),
        (
            {"type": "string", "enum": ["a", "ab", "b", "b c", "X-1"]},
            ["a", "ab", "b", "b c", "X-1"],
            ["", "abc", "c", "X"],
        ),
        ({"type": "string", "pattern": "^(?:a|bc)?[0-9]+$"}, ["a1", "bc22", "3"], ["ab1", "a", "1\n"]),
        ({"type": "string", "pattern": r"^(?!00$)[0-9]{2}$"}, ["01", "10"], ["00", "000"]),
    ],
)
def test_patterns_of_another_contract_judge_by_it(
    config: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, object], good: list[object], bad: list[object]
) -> None:
    contract = changed(config, monkeypatch, "channel", rules)
    validator = Draft202012Validator(contract.schema)
    fast, canonical = in_python(fast_pattern(contract)), in_python(canonical_pattern(contract))
    for value in (*good, *bad):
        record = {**VALID, "channel": value}
        expected = value in good
        assert validator.is_valid(record) == expected
        assert bool(canonical.search(as_jackson(record))) == expected
        assert bool(fast.search(compact(record).decode())) == expected
