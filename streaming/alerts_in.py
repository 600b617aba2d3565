"""Reads a record of the topic `alerts` as an alert. Runs inside Flink, in Python: alerts are few.

Anybody who may write to the topic may write anything; what is no alert by its contract is a dead letter, as a raw
record is. Flink's own JSON format would end the job, or drop it unseen.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from contracts.schema import Field, load_contract
from streaming.explain import Explanation, breach_of

# Of Java's int and long.
_LARGEST = {"int": 2**31 - 1, "long": 2**63 - 1}


def read_alert(payload: bytes | None) -> tuple[Any, ...]:
    """Return the values of the alert in the order of its contract, then those of `Explanation`: either are None.

    Numbers and times (UTC, with milliseconds) are text, and a map is never None: Flink's Python bears no other row.
    """
    fields = load_contract("alert").fields
    breach = breach_of(payload, "alert")
    if breach is None:
        text = (payload or b"").decode("utf-8")
        record = json.loads(text)
        try:
            return (*_values(fields, record), *(None for _ in Explanation._fields))
        except ValueError as error:
            breach = Explanation("bad_format", str(error), text, "utf-8")
    return (*({} if field.type.startswith("map") else None for field in fields), *breach)


def _values(fields: Iterable[Field], record: dict[str, Any]) -> list[Any]:
    return [_value(field, record[field.name]) for field in fields]


def _value(field: Field, value: Any) -> Any:
    """Raises ValueError for what the contract lets through and a column cannot hold."""
    match field.type:
        case "timestamptz":
            try:
                moment = datetime.fromisoformat(value).astimezone(UTC)
            except (ValueError, OverflowError) as error:
                raise ValueError(f"{field.name}: {error}") from error
            return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
        case "int" | "long":
            if abs(value) > _LARGEST[field.type]:
                raise ValueError(f"{field.name}: {value} is larger than {_LARGEST[field.type]}")
            return str(int(value))
        case _:
            return value
