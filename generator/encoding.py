"""Turns drawn columns into the bytes of Kafka records: JSON, keys in the contract's declared order, no white space.

The order matters: validation has a fast path for records written in it.
"""

from datetime import datetime

import orjson

from contracts.schema import load_contract
from generator.traffic import Batch

_TIMESTAMP = "timestamp"


def field_names() -> tuple[str, ...]:
    """The fields of a transaction in the order they are written; none that may be left out."""
    return tuple(field.name for field in load_contract("transaction").required)


def timestamp_text(now: datetime) -> str:
    """`now` (aware, UTC) as the contract wants an event time: `2026-11-22T10:00:00.123Z`."""
    return now.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def encode(batch: Batch, start: int, stop: int, *, now: datetime) -> list[bytes | None]:
    """The Kafka values of the batch's records `start` to before `stop`, all of event time `now`.

    None for a record that is to be sent without a value. Raises KeyError where the contract requires a field that the
    generator does not draw.
    """
    names = field_names()
    stamps = [timestamp_text(now)] * (stop - start)
    columns = [stamps if name == _TIMESTAMP else batch.columns[name][start:stop] for name in names]
    values: list[bytes | None] = [
        orjson.dumps(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)
    ]
    for i, malformation in batch.malformations.items():
        if start <= i < stop:
            record = dict(zip(names, (column[i - start] for column in columns), strict=True))
            values[i - start] = malformation.breaks(record)
    return values
