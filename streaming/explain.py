"""Explains why a record was refused. Runs inside Flink, in Python, for refused records only.

The predicate in `validation.py` decides; this module finds words for it. Where it finds no fault the two disagree,
and the record is kept under `validator_disagreement`, never dropped.
"""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from jsonschema_rs import Draft202012Validator, ValidationError

from contracts.schema import load_contract

_SHORT = 120
# What Flink's JSON parser takes of one number; it refuses the record of a longer one, known field or not.
_LONGEST_NUMBER = 1000
# JSON's way to write half a character. Other escapes and whole pairs are consumed first, so a match's group is lone.
_LONE_SURROGATE = re.compile(
    r"\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

_REASON_OF_KEYWORD = {
    "required": "missing_field",
    "type": "wrong_type",
    "pattern": "bad_format",
    "format": "bad_format",
    "enum": "not_in_enum",
    "minLength": "out_of_range",
    "maxLength": "out_of_range",
    "minimum": "out_of_range",
    "maximum": "out_of_range",
}
# Several fields may be wrong: the gravest breach names the dead letter, then the contract's field order.
_GRAVITY = ("required", "type", "enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum")


class Explanation(NamedTuple):
    """Why a record was refused, and its bytes as text. Columns of the dead-letter contract, in its order."""

    reason_code: str
    message: str
    payload: str | None
    payload_encoding: str


def explain(payload: bytes | None) -> Explanation:
    """The explanation of a refused record whose value is `payload` (None: a record without a value)."""
    if payload is None:
        return Explanation("no_payload", "the record has no value", None, "utf-8")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of {len(payload)}: {error.reason}"
        return Explanation("not_utf8", message, base64.b64encode(payload).decode("ascii"), "base64")
    reason, message = _judge(text)
    return Explanation(reason, message, text, "utf-8")


def _judge(text: str) -> tuple[str, str]:
    try:
        record = json.loads(text, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_fraction)
    except RecursionError:
        return "too_large", f"nested too deeply to be read: {shorten(text)}"
    except _LongNumber as error:
        return "too_large", f"a number of {error} characters, more than {_LONGEST_NUMBER}: {shorten(text)}"
    except ValueError as error:
        return "malformed_json", f"not JSON: {error}; found {shorten(text)}"
    if half := _lone_surrogate(text):
        return "malformed_json", f"{half} is half of a character, without its other half: {shorten(text)}"
    if not isinstance(record, dict):
        return "not_an_object", f"a transaction is an object, found {_kind(record)}: {shorten(text)}"
    try:
        faults = sorted(_validator().iter_errors(record), key=_rank)
    except ValueError:  # jsonschema-rs copies a value that breaks a rule, to a depth of 255
        return "too_large", f"nested too deeply to be judged: {shorten(text)}"
    if not faults:
        return "validator_disagreement", f"the stream refused what the contract accepts: {shorten(text)}"
    return _describe(faults[0], record)


class _LongNumber(Exception):
    """A number longer than `_LONGEST_NUMBER`; its length."""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _LongNumber(len(digits))
    return int(digits)


def _fraction(text: str) -> float:
    if len(text) > _LONGEST_NUMBER:
        raise _LongNumber(len(text))
    return float(text)


def _lone_surrogate(text: str) -> str | None:
    return next((found[1] for found in _LONE_SURROGATE.finditer(text) if found[1]), None)


_VALIDATOR: list[Draft202012Validator] = []


def _validator() -> Draft202012Validator:
    if not _VALIDATOR:
        _VALIDATOR.append(Draft202012Validator(load_contract("transaction").schema, validate_formats=True))
    return _VALIDATOR[0]


def _rank(fault: ValidationError) -> tuple[int, int]:
    order = [field.name for field in load_contract("transaction").fields]
    keyword = fault.kind.name
    name = fault.instance_path[0] if fault.instance_path else _missing(fault)
    gravity = _GRAVITY.index(keyword) if keyword in _GRAVITY else len(_GRAVITY)
    return gravity, order.index(name) if name in order else len(order)


def _missing(fault: ValidationError) -> str:
    """The field that a fault of the keyword `required` is about; "" for other keywords."""
    return str(getattr(fault.kind, "property", ""))


def _describe(fault: ValidationError, record: dict[str, Any]) -> tuple[str, str]:
    keyword = fault.kind.name
    reason = _REASON_OF_KEYWORD.get(keyword, "bad_format")
    if keyword == "required":
        return reason, f"{_missing(fault)}: required and missing"
    name = str(fault.instance_path[0])
    value = record.get(name)
    rule = load_contract("transaction").field(name).rules.get(keyword)
    return reason, f"{name}: found {shorten(json.dumps(value))}, breaks {keyword} {shorten(json.dumps(rule))}"


def shorten(text: str) -> str:
    """At most 120 characters of `text`, control characters and lone surrogates escaped."""
    safe = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return safe if len(safe) <= _SHORT else f"{safe[:_SHORT]}... ({len(text)} characters)"


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def rows(payload: bytes | None) -> Iterator[tuple[str, str, str | None, str]]:
    """`explain` as a table function: one row."""
    yield explain(payload)
