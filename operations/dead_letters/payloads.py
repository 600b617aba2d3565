"""The bytes of a refused record: from the table's text and back, as a person sees them, and with fields set anew."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from contracts.schema import load_contract

UTF8, BASE64 = "utf-8", "base64"


class NotRepairable(ValueError):
    """Single fields cannot be set in this payload, or the text of a payload is not one; says why."""


@dataclass(frozen=True)
class Payload:
    """A record's value as the dead-letter contract writes it. `text` is None for a record without a value."""

    text: str | None
    encoding: str

    @classmethod
    def of(cls, value: bytes | None) -> "Payload":
        """The payload of these bytes."""
        if value is None:
            return cls(None, UTF8)
        try:
            return cls(value.decode(UTF8), UTF8)
        except UnicodeDecodeError:
            return cls(base64.b64encode(value).decode("ascii"), BASE64)

    def value(self) -> bytes | None:
        """The bytes as received. Raises NotRepairable where a person's edit left no payload."""
        if self.text is None:
            return None
        try:
            match self.encoding:
                case "utf-8":
                    return self.text.encode(UTF8)
                case "base64":
                    return base64.b64decode(self.text, validate=True)
                case other:
                    raise NotRepairable(f"payload_encoding is {other!r}; it is {UTF8} or {BASE64}")
        except UnicodeEncodeError:
            raise NotRepairable("the payload holds half a character (a lone surrogate), which has no bytes") from None
        except (binascii.Error, ValueError) as error:
            if isinstance(error, NotRepairable):
                raise
            raise NotRepairable(f"the payload is not base64: {error}") from None


def with_fields(payload: bytes | None, fields: Mapping[str, str]) -> bytes:
    """The record `payload` with `fields` set to these texts, the contract's fields first and in its order.

    Numbers of fields that the contract does not know stay as they were written. Raises NotRepairable where the payload
    is no JSON object; KeyError, with the field, for one that the contract does not have.
    """
    contract = load_contract("transaction")
    for name in fields:
        contract.field(name)
    try:
        record = json.loads(payload or b"", parse_int=_verbatim, parse_float=_verbatim, parse_constant=_refuse)
        if not isinstance(record, dict):
            raise NotRepairable("the payload is not a JSON object")
        changed = {**record, **fields}
        known = [field.name for field in contract.fields if field.name in changed]
        return orjson.dumps({name: changed[name] for name in dict.fromkeys([*known, *changed])})
    except (ValueError, TypeError, RecursionError) as error:  # orjson raises TypeErrors
        raise NotRepairable(
            f"single fields cannot be set in this payload ({error}); give the whole of it: --payload FILE"
        ) from None


def _verbatim(number: str) -> orjson.Fragment:
    return orjson.Fragment(number.encode("ascii"))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def printable(text: str) -> str:
    """`text` on one line, with nothing in it that could steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def hex_dump(value: bytes, *, most: int) -> str:
    """The first `most` bytes, sixteen a line: place, bytes, and what of them is ASCII."""
    lines = []
    for start in range(0, min(len(value), most), 16):
        row = value[start : min(start + 16, most)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {text}")
    return "\n".join(lines)
