"""What the transaction contract says of a record, read strictly and without the stream's own code."""

import json
from typing import NoReturn

from jsonschema_rs import Draft202012Validator

from contracts.schema import load_contract

_VALIDATOR = Draft202012Validator(load_contract("transaction").schema, validate_formats=True)


def accepts(payload: bytes | None) -> dict[str, str] | None:
    """The contract's fields of a record that is strict UTF-8, strict RFC 8259, pairs its surrogates and satisfies the
    contract; None for any other. Of duplicate keys the last counts.
    """
    if payload is None:
        return None
    try:
        record = json.loads(payload.decode("utf-8"), parse_constant=_refuse, object_pairs_hook=_paired)
        # The last test of lone surrogates: also for text that stands outside every object.
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _VALIDATOR.is_valid(record):
        return None
    return {field.name: record[field.name] for field in load_contract("transaction").fields}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _paired(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of these members; raises UnicodeEncodeError for a lone surrogate, also in one that is overwritten."""
    json.dumps(pairs, ensure_ascii=False).encode("utf-8")
    return dict(pairs)
