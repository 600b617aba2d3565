"""What the transaction contract says of a record, read strictly and without the stream's own code."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from jsonschema_rs import Draft202012Validator

from contracts.schema import Contract, load_contract

# Of several breaches the gravest names the dead letter.
_REASONS = {
    "missing_field": ("required",),
    "wrong_type": ("type",),
    "not_in_enum": ("enum",),
    "bad_format": ("pattern", "format"),
    "out_of_range": ("minLength", "maxLength"),
}


@dataclass(frozen=True)
class ReferenceJudge:
    """Judges records by `contract`."""

    contract: Contract

    def accepts(self, payload: bytes | None) -> dict[str, str | None] | None:
        """The contract's fields of a record that is strict UTF-8, strict RFC 8259, pairs its surrogates, keeps the
        limits and satisfies the contract; None for any other. Of duplicate keys the last counts; a field that is not
        there is None.
        """
        if payload is None or self.reason(payload) is not None:
            return None
        record = json.loads(payload)
        return {field.name: record.get(field.name) for field in self.contract.fields}

    def reason(self, payload: bytes | None) -> str | None:
        """The reason code of a record that is refused; None for one that is accepted."""
        limits = self.contract.record_limits
        if payload is None:
            return "no_payload"
        if len(payload) > limits.bytes:
            return "too_large"
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            return "not_utf8"
        reader = _Reader()
        try:
            record = reader.read(text)
        except RecursionError:
            return "too_large"
        except ValueError:
            return "malformed_json"
        for name, count in vars(reader).items():
            if count > getattr(limits, name):
                return "too_large"
        return self._reason_of(text, record)

    def _reason_of(self, text: str, record: object) -> str | None:
        try:
            json.loads(text, object_pairs_hook=_paired)
            # Also for text that stands outside every object.
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return "malformed_json"
        if not isinstance(record, dict):
            return "not_an_object"
        broken = {fault.kind.name for fault in self._validator.iter_errors(record)}
        return next((reason for reason, keywords in _REASONS.items() if broken & set(keywords)), None)

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.contract.schema, validate_formats=True)


class _Reader:
    """Reads a JSON text and counts what the contract limits."""

    def __init__(self) -> None:
        self.containers = self.members = self.number_characters = self.exponent_digits = 0

    def read(self, text: str) -> object:
        """The value of `text`. Raises ValueError, or RecursionError for one that is nested very deeply."""
        value = json.loads(
            text,
            parse_constant=_refuse,
            parse_int=self._number,
            parse_float=self._number,
            object_pairs_hook=self._object,
        )
        self._count_lists(value)
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        self.containers += 1
        self.members += len(pairs)
        for _, value in pairs:
            self._count_lists(value)
        return dict(pairs)

    def _count_lists(self, value: object) -> None:
        if isinstance(value, list):
            self.containers += 1
            for element in value:
                self._count_lists(element)

    def _number(self, text: str) -> float:
        self.number_characters = max(self.number_characters, len(text))
        _, _, exponent = text.lower().partition("e")
        self.exponent_digits = max(self.exponent_digits, len(exponent.lstrip("+-")))
        return float(text) if len(text) < 1000 else 0.0


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _paired(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these members; raises UnicodeEncodeError for a lone surrogate, also in one that is overwritten."""
    json.dumps(pairs, ensure_ascii=False).encode("utf-8")
    return dict(pairs)


_PROJECT = ReferenceJudge(load_contract("transaction"))
accepts = _PROJECT.accepts
reason = _PROJECT.reason
