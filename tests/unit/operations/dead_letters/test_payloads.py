"""A refused record's bytes: kept exactly, repaired without touching what was not named, shown harmlessly."""

import json

import pytest

from operations.dead_letters.payloads import NotRepairable, Payload, hex_dump, printable, with_fields

VALUES = [
    b"", b"\x00", b"\xff\xfe\x00", b"\xef\xbb\xbf{}", "Café 😀 \u2028\u0085\x1b[31m".encode(), b"\n\r\n",
    b"\xed\xa0\x80", b"x" * 2_000_000, bytes(range(256)) * 8_000,
]  # fmt: skip


@pytest.mark.parametrize("value", [None, *VALUES], ids=lambda value: repr(value)[:30])
def test_payload_of_bytes_gives_the_same_bytes(value: bytes | None) -> None:
    assert Payload.of(value).value() == value


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (Payload("AAA", "base64"), "not base64"),
        (Payload("A A=", "base64"), "not base64"),
        (Payload("é", "base64"), "not base64"),
        (Payload("x", "latin-1"), "'latin-1'; it is utf-8 or base64"),
        (Payload("\ud800", "utf-8"), "half a character"),
    ],
)
def test_payload_that_an_edit_broke_is_refused_in_words(payload: Payload, reason: str) -> None:
    with pytest.raises(NotRepairable, match=reason):
        payload.value()


def test_with_fields_sets_them_and_writes_the_contracts_order() -> None:
    repaired = with_fields(b'{"country":"ZZ","extra":1,"amount":5}', {"country": "CH", "amount": "5.00", "channel": ""})
    assert repaired == b'{"amount":"5.00","channel":"","country":"CH","extra":1}'


def test_with_fields_numbers_that_the_contract_does_not_know_stay_as_written() -> None:
    odd = b'{"a":1e400,"b":0.10000000000000000001,"c":-0,"d":' + b"9" * 5000 + b',"e":[1.0,{"f":2E+1}]}'
    assert with_fields(odd, {"amount": "1.00"}) == b'{"amount":"1.00",' + odd[1:]


def test_with_fields_last_of_duplicate_keys_counts_as_it_does_for_the_stream() -> None:
    assert json.loads(with_fields(b'{"x":"1","x":"2"}', {"amount": "1.00"}))["x"] == "2"


@pytest.mark.parametrize(
    "payload",
    [None, b"", b"[]", b'"text"', b"{", b"\xff{}", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 100_000, b'{"a":'],
    ids=lambda value: repr(value)[:30],
)
def test_with_fields_of_what_is_no_object_says_to_give_the_whole_payload(payload: bytes | None) -> None:
    with pytest.raises(NotRepairable, match="--payload FILE"):
        with_fields(payload, {"amount": "1.00"})


def test_with_fields_unknown_field_is_named() -> None:
    with pytest.raises(KeyError, match="amunt"):
        with_fields(b"{}", {"amunt": "1.00"})


def test_printable_nothing_steers_a_terminal() -> None:
    assert printable("a\x1b[31m\n\u202eb\x9bé") == "a\\x1b[31m\\n\\u202eb\\x9bé"


def test_hex_dump_shows_place_bytes_and_text() -> None:
    assert hex_dump(b"\x00\xffabc" + b"x" * 40, most=20) == (
        "00000000  00 ff 61 62 63 78 78 78 78 78 78 78 78 78 78 78  ..abcxxxxxxxxxxx\n"
        "00000010  78 78 78 78                                      xxxx"
    )
