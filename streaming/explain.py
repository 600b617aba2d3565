"""Explains why a record was refused. Runs inside Flink, in Python, for refused records only.

The predicate in `validation.py` decides; this module finds words for it. Where it finds no fault the two disagree,
and the record is kept under `validator_disagreement`, never dropped.
"""

import base64
import json
import re
from functools import cache
from typing import Any, NamedTuple

from jsonschema_rs import Draft202012Validator, ValidationError

from contracts.schema import ContractName, Limits, load_contract
from streaming.validation import STRING

_SHORT = 120
_STRING = re.compile(STRING)
_NUMBER = re.compile(r"[-+.0-9eE]+")
_EXPONENT = re.compile(r"[eE][-+]?([0-9]+)")
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
    """Explain why the transaction whose value is `payload` (None: a record without a value) was refused."""
    return breach_of(payload, "transaction") or _disagreement((payload or b"").decode("utf-8"))


def _disagreement(text: str) -> Explanation:
    message = f"the stream refused what the contract accepts: {shorten(text)}"
    return Explanation("validator_disagreement", message, text, "utf-8")


def breach_of(payload: bytes | None, contract: ContractName) -> Explanation | None:
    """Return how the record whose value is `payload` breaks the contract; None if it keeps it."""
    if payload is None:
        return Explanation("no_payload", "the record has no value", None, "utf-8")
    limits = load_contract(contract).record_limits
    if len(payload) > limits.bytes:  # before anything reads it: 2 MB of it would take a second
        beginning = payload[:_SHORT].decode("utf-8", "replace")
        message = f"{len(payload)} bytes, more than {limits.bytes}; it begins with {shorten(beginning)}"
        return Explanation("too_large", message, _base64(payload), "base64")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of {len(payload)}: {error.reason}"
        return Explanation("not_utf8", message, _base64(payload), "base64")
    breach = _judge(text, limits, contract)
    return Explanation(*breach, text, "utf-8") if breach else None


def _base64(payload: bytes) -> str:
    """As text whose size is known: JSON would write each of some bytes as six characters."""
    return base64.b64encode(payload).decode("ascii")


def _judge(text: str, limits: Limits, contract: ContractName) -> tuple[str, str] | None:
    if excess := _excess(text, limits):
        return "too_large", f"{excess}: {shorten(text)}"
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        return "malformed_json", f"not JSON: {error}; found {shorten(text)}"
    if half := _lone_surrogate(text):
        return "malformed_json", f"{half} is half of a character, without its other half: {shorten(text)}"
    if not isinstance(record, dict):
        return "not_an_object", f"{_ARTICLES[contract]} is an object, found {_kind(record)}: {shorten(text)}"
    faults = sorted(_validator(contract).iter_errors(record), key=lambda fault: _rank(fault, contract))
    return _describe(faults[0], record, contract) if faults else None


def _excess(text: str, limits: Limits) -> str | None:
    """Which limit `text` exceeds, in words. What a string holds does not count."""
    structure = _STRING.sub("", text)
    found = {
        "objects and arrays": (structure.count("{") + structure.count("["), limits.containers),
        "members": (structure.count(":"), limits.members),
        "characters in a number": (max(map(len, _NUMBER.findall(structure)), default=0), limits.number_characters),
        "digits in an exponent": (max(map(len, _EXPONENT.findall(structure)), default=0), limits.exponent_digits),
    }
    return next((f"{count} {what}, more than {most}" for what, (count, most) in found.items() if count > most), None)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _lone_surrogate(text: str) -> str | None:
    return next((found[1] for found in _LONE_SURROGATE.finditer(text) if found[1]), None)


_ARTICLES: dict[ContractName, str] = {
    "transaction": "a transaction",
    "alert": "an alert",
    "dead-letter": "a dead letter",
}


@cache
def _validator(contract: ContractName) -> Draft202012Validator:
    return Draft202012Validator(load_contract(contract).schema, validate_formats=True)


def _rank(fault: ValidationError, contract: ContractName) -> tuple[int, int]:
    order = [field.name for field in load_contract(contract).fields]
    keyword = fault.kind.name
    name = fault.instance_path[0] if fault.instance_path else _missing(fault)
    gravity = _GRAVITY.index(keyword) if keyword in _GRAVITY else len(_GRAVITY)
    return gravity, order.index(name) if name in order else len(order)


def _missing(fault: ValidationError) -> str:
    """The field that a fault of the keyword `required` is about; "" for other keywords."""
    return str(getattr(fault.kind, "property", ""))


def _describe(fault: ValidationError, record: dict[str, Any], contract: ContractName) -> tuple[str, str]:
    keyword = fault.kind.name
    reason = _REASON_OF_KEYWORD.get(keyword, "bad_format")
    if keyword == "required":
        return reason, f"{_missing(fault)}: required and missing"
    if not fault.instance_path:
        return reason, shorten(str(fault.message))
    name = str(fault.instance_path[0])
    value = record.get(name)
    rule = load_contract(contract).field(name).rules.get(keyword)
    return reason, f"{name}: found {shorten(json.dumps(value))}, breaks {keyword} {shorten(json.dumps(rule))}"


def shorten(text: str) -> str:
    """At most 120 characters of `text`, control characters and lone surrogates escaped."""
    safe = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return safe if len(safe) <= _SHORT else f"{safe[:_SHORT]}... ({len(text)} characters)"


def _kind(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
