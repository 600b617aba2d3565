"""Why a record was refused, in words that an operator can act on, in the shape of the dead-letter contract."""

import json
import timeit
from base64 import b64decode

import orjson
import pytest
from jsonschema_rs import Draft202012Validator

from contracts import names
from contracts.record_sizes import DEAD_LETTER_PAYLOAD_CHARACTERS, DEAD_LETTER_TOPIC_BYTES, RAW_TOPIC_BYTES
from contracts.schema import load_contract
from generator.malformed import MALFORMATIONS
from streaming.explain import Explanation, explain, shorten
from tests.mutant_records import mutants
from tests.nasty_records import VALID, compact, nasty
from tests.reference_judge import accepts, reason

SEED = 20261122
TEXT = compact(VALID)
_DEAD_LETTER = Draft202012Validator(load_contract("dead-letter").schema, validate_formats=True)


def with_value(**fields: object) -> bytes:
    return compact({**VALID, **fields})


def with_unknown(value: bytes) -> bytes:
    return TEXT[:-1] + b',"x":' + value + b"}"


CASES: dict[str, tuple[bytes | None, str, str]] = {
    "no value": (None, "no_payload", "no value"),
    "Latin-1": (TEXT.replace(b"Grocery", b"Caf\xe9"), "not_utf8", "byte 204 of 302"),
    "empty": (b"", "malformed_json", "not JSON"),
    "truncated": (TEXT[:-40], "malformed_json", "not JSON"),
    "trailing text": (TEXT + b" x", "malformed_json", "Extra data"),
    "two objects": (TEXT + TEXT, "malformed_json", "Extra data"),
    "byte order mark": (b"\xef\xbb\xbf" + TEXT, "malformed_json", "not JSON"),
    "NaN": (with_unknown(b"NaN"), "malformed_json", "NaN is not a JSON number"),
    "raw line feed": (TEXT.replace(b"Grocery", b"\n"), "malformed_json", "Invalid control character"),
    "lone surrogate": (TEXT.replace(b"Grocery", rb"a\ud83d"), "malformed_json", r"\ud83d is half of a character"),
    "lone surrogate unknown": (with_unknown(rb'"\uDE00"'), "malformed_json", r"\uDE00 is half of a character"),
    "array": (b"[" + TEXT + b"]", "not_an_object", "found an array"),
    "text": (b'"x"', "not_an_object", "found a string"),
    "number": (b"12", "not_an_object", "found a number"),
    "boolean": (b"true", "not_an_object", "found a boolean"),
    "null": (b"null", "not_an_object", "found null"),
    "missing": (compact({k: v for k, v in VALID.items() if k != "amount"}), "missing_field",
    "amount: required and missing"),
    "nothing": (b"{}", "missing_field", "transaction_id: required and missing"),
    "number for text": (with_value(amount=12.5), "wrong_type", 'amount: found 12.5, breaks type "string"'),
    "null for text": (with_value(channel=None), "wrong_type", 'channel: found null, breaks type "string"'),
    "pattern": (with_value(amount="12,50"), "bad_format", 'amount: found "12,50", breaks pattern'),
    "no such day": (with_value(timestamp="2026-02-30T10:00:00.000Z"), "bad_format", "breaks format \"date-time\""),
    "final line feed": (with_value(account_id="ACC000000042\n"), "bad_format",
    r'account_id: found "ACC000000042\n", breaks pattern'),
    "enum": (with_value(country="ZZ"), "not_in_enum", 'country: found "ZZ", breaks enum ["AD", "AE"'),
    "too short": (with_value(merchant_name=""), "out_of_range", 'merchant_name: found "", breaks minLength 1'),
    "too long": (with_value(merchant_name="é" * 101), "out_of_range", "breaks maxLength 100"),
    "too many bytes": (TEXT.ljust(32_769), "too_large", "32769 bytes, more than 32768; it begins with {"),
    "too many bytes, not UTF-8": (b"\xff" * 40_000, "too_large", "40000 bytes, more than 32768"),
    "too deep": (with_unknown(b"[" * 9000 + b"]" * 9000), "too_large", "9001 objects and arrays, more than 64: {"),
    "deep in a field": (TEXT.replace(b'"12.50"', b"[" * 400 + b"]" * 400), "too_large", "401 objects and arrays"),
    "many members": (compact({**VALID, **{f"f{n}": n for n in range(118)}}), "too_large", "129 members, more than 128"),
    "long integer": (with_unknown(b"9" * 5000), "too_large", "5000 characters in a number, more than 100"),
    "long fraction": (with_unknown(b"0." + b"9" * 1000), "too_large", "1002 characters in a number"),
    "large exponent": (with_unknown(b"1E+400"), "too_large", "3 digits in an exponent, more than 2"),
    "valid": (TEXT, "validator_disagreement", "the stream refused what the contract accepts"),
    "gravest first": (compact({**VALID, "amount": "1,00", "currency": "x", "country": 1}), "wrong_type", "country: "),
    "declared order": (with_value(country="ZZ", currency="XTS"), "not_in_enum", "currency: "),
}  # fmt: skip


def as_dead_letter(explanation: Explanation) -> dict[str, object]:
    place = {"topic": "transactions.raw", "partition": 0, "offset": 1, "failed_at": "2026-11-22T10:00:00.123Z"}
    return {**place, **explanation._asdict(), "replayed_from": None}


@pytest.mark.parametrize("name", CASES)
def test_explain_record_gets_reason_and_words(name: str) -> None:
    payload, reason, words = CASES[name]
    explanation = explain(payload)
    assert explanation.reason_code == reason
    assert words in explanation.message
    assert len(explanation.message) < 400


def test_explain_cases_reach_every_reason_of_the_contract() -> None:
    of_the_contract = set(load_contract("dead-letter").field("reason_code").rules["enum"])
    assert {reason for _, reason, _ in CASES.values()} == of_the_contract - {names.SKIPPED}, "a person alone skips"


@pytest.mark.parametrize("payload", [TEXT, "héé\x00\n".encode(), b"", b"x" * 32_768])
def test_explain_text_is_kept_as_it_is(payload: bytes) -> None:
    explanation = explain(payload)
    assert explanation.payload_encoding == "utf-8"
    assert explanation.payload is not None
    assert explanation.payload.encode() == payload


@pytest.mark.parametrize("payload", [b"\xff", b"\xed\xa0\x80", TEXT + b"\x80", TEXT.decode().encode("utf-16")])
def test_explain_bytes_that_are_no_text_are_kept_as_base64(payload: bytes) -> None:

    explanation = explain(payload)
    assert (explanation.reason_code, explanation.payload_encoding) == ("not_utf8", "base64")
    assert b64decode(explanation.payload or "", validate=True) == payload


@pytest.mark.parametrize("character", [b"\x01", b'"', b"x", b"[", b"\xff"])
def test_explain_two_megabytes_are_kept_as_base64_at_once(character: bytes) -> None:
    payload = character * 2_000_000
    # The best of five: another program may have the processor meanwhile.
    seconds = min(timeit.repeat(lambda: explain(payload), number=1, repeat=5))
    assert seconds < 0.1
    explanation = explain(payload)
    assert (explanation.reason_code, explanation.payload_encoding) == ("too_large", "base64")
    assert b64decode(explanation.payload or "", validate=True) == payload


def test_explain_what_the_raw_topic_takes_fits_into_the_topic_of_dead_letters() -> None:
    """A dead letter that Kafka refuses would restart the job for ever."""
    largest = as_dead_letter(explain(b"\x01" * RAW_TOPIC_BYTES))
    assert len(str(largest["payload"])) == DEAD_LETTER_PAYLOAD_CHARACTERS
    widest = as_dead_letter(explain(with_unknown(b'"' + b"\x01" * 32_000 + b'"')))
    for letter in (largest, widest):
        assert len(json.dumps(letter)) < DEAD_LETTER_TOPIC_BYTES - 8192


def test_explain_long_value_is_shortened_and_control_characters_are_escaped() -> None:
    message = explain(with_value(merchant_category="x\n\u202e" * 1000)).message
    assert message.isprintable()
    assert "characters)" in message
    assert len(message) < 400


def test_explain_nasty_records_always_end_as_dead_letters_with_a_true_reason() -> None:
    """Also the records that break the explaining itself: an exception here would stop the job for ever."""
    wrong = []
    for name, payload in (*nasty(), *mutants(SEED, 1500)):
        explanation = explain(payload)
        expected = {reason(payload) or "validator_disagreement"}
        if expected == {"malformed_json"}:
            expected.add("too_large")  # what is no JSON may have too many brackets as well
        if not _DEAD_LETTER.is_valid(as_dead_letter(explanation)) or explanation.reason_code not in expected:
            wrong.append(f"{name} (seed {SEED}): {explanation!r:.300}, expected {expected}")
    assert wrong == []


@pytest.mark.parametrize("name", MALFORMATIONS)
def test_explain_malformed_traffic_gets_the_reason_its_maker_meant(name: str) -> None:
    malformation = MALFORMATIONS[name]
    payload = malformation.breaks(dict(VALID))
    assert accepts(payload) is None
    assert explain(payload).reason_code == malformation.reason
    if malformation.identified and payload is not None:
        assert orjson.loads(payload)["transaction_id"] == VALID["transaction_id"]


def test_explanation_fields_are_columns_in_the_contracts_order() -> None:
    names = [field.name for field in load_contract("dead-letter").fields]
    own = [name for name in names if name in Explanation._fields]
    assert list(Explanation._fields) == own


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("plain", "plain"),
        ("a\nb", r"a\nb"),
        ("\ud800", r"\ud800"),
        ("é", "é"),
        ("x" * 121, "x" * 120 + "... (121 characters)"),
    ],
)
def test_shorten_text_is_printable_and_short(text: str, short: str) -> None:
    assert shorten(text) == short
