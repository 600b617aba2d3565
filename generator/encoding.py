"""Turns drawn columns into the bytes of Kafka records: JSON, keys in the contract's declared order, no white space.

The order matters: validation has a fast path for records written in it. Everything that depends on a merchant or on
the way of paying is made once, as text; a record is seven or eight pieces joined by Arrow, at a
fraction of the cost of a dictionary and a JSON encoder.
"""

from collections.abc import Callable, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.schema import load_contract
from generator.places import COUNTRIES
from generator.population import KINDS, Merchants
from generator.spending import CHANNELS, TYPES
from generator.texts import DIGITS, binary, time_texts
from generator.traffic import Batch

Column = Callable[[Batch, int, int], pa.Array]


class Encoder:
    """Encodes batches of one population. Raises KeyError where the contract requires a field that is not drawn."""

    def __init__(self, merchants: Merchants) -> None:
        own: dict[str, Column] = {
            "transaction_id": lambda batch, start, stop: binary(batch.transaction_id[start:stop]),
            "timestamp": lambda batch, start, stop: binary(time_texts(batch.event_ms[start:stop])),
            "account_id": lambda batch, start, stop: binary(batch.account_id[start:stop]),
            "amount": lambda batch, start, stop: _money(batch.money[start:stop]),
        }
        places = [COUNTRIES[place] for place in merchants.place(np.arange(len(merchants))).tolist()]
        of_merchant: dict[str, Sequence[str]] = {
            "currency": [place.currency for place in places],
            "merchant_id": [f"MER{number:06d}" for number in range(1, len(merchants) + 1)],
            "merchant_name": merchants.names,
            "merchant_category": [KINDS[kind].category for kind in merchants.kind.tolist()],
            "country": [place.code for place in places],
        }
        ways = [(transaction_type, channel) for transaction_type in TYPES for channel in CHANNELS]
        of_way = {
            "transaction_type": [transaction_type for transaction_type, _ in ways],
            "channel": [channel for _, channel in ways],
        }
        pieces: list[_Piece] = [_Constant("{")]
        for number, field in enumerate(load_contract("transaction").required):
            pieces.append(_Constant(f'{"," if number else ""}"{field.name}":'))
            if field.name in own:
                pieces += [_Constant('"'), _Own(own[field.name]), _Constant('"')]
            elif field.name in of_merchant:
                pieces.append(_Lookup("merchant", tuple(map(_json, of_merchant[field.name]))))
            else:
                pieces.append(_Lookup("way", tuple(map(_json, of_way[field.name]))))
        self._columns = [piece.column() for piece in _merged([*pieces, _Constant("}")])]

    def encode(self, batch: Batch, start: int, stop: int) -> list[bytes | None]:
        """The Kafka values of the batch's records `start` to before `stop`, which are stamped.

        None for a record that is to be sent without a value.
        """
        if start == stop:
            return []
        columns = [column(batch, start, stop) for column in self._columns]
        values: list[bytes | None] = pc.binary_join_element_wise(*columns, pa.scalar(b"", pa.binary())).to_pylist()
        for i, malformation in batch.malformations.items():
            if start <= i < stop:
                values[i - start] = malformation.breaks(orjson.loads(values[i - start] or b""))
        return values


def _json(text: str) -> str:
    return orjson.dumps(text).decode()


def _money(money: NDArray[np.int64]) -> pa.Array:
    """Hundredths of a currency as a decimal string."""
    whole = pa.array(money // 100).cast(pa.string()).cast(pa.binary())
    cents = np.full((len(money), 3), ord("."), dtype=np.uint8)
    cents[:, 1:] = DIGITS[money % 100][:, 1:]
    return pc.binary_join_element_wise(whole, binary(cents), pa.scalar(b"", pa.binary()))


class _Own:
    """A piece that differs from record to record."""

    def __init__(self, column: Column) -> None:
        self.make = column

    def column(self) -> Column:
        return self.make


class _Lookup:
    """A piece that a merchant or a way of paying decides: text made once for each of them."""

    def __init__(self, key: str, texts: Sequence[str]) -> None:
        self.key, self.texts = key, tuple(texts)

    def column(self) -> Column:
        texts = pa.array([text.encode() for text in self.texts], pa.binary())
        if self.key == "merchant":
            return lambda batch, start, stop: texts.take(pa.array(batch.merchant[start:stop]))
        return lambda batch, start, stop: texts.take(
            pa.array(batch.transaction_type[start:stop] * np.uint8(len(CHANNELS)) + batch.channel[start:stop])
        )


class _Constant:
    """A piece that is the same in every record."""

    def __init__(self, text: str) -> None:
        self.text = text

    def column(self) -> Column:
        scalar = pa.scalar(self.text.encode(), pa.binary())
        return lambda batch, start, stop: scalar


_Piece = _Own | _Lookup | _Constant


def _merged(pieces: Sequence[_Piece]) -> list[_Piece]:
    """The same pieces with those joined that can be: fewer are cheaper."""
    merged: list[_Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if isinstance(piece, _Constant) and isinstance(last, _Constant):
            merged[-1] = _Constant(last.text + piece.text)
        elif isinstance(piece, _Constant) and isinstance(last, _Lookup):
            merged[-1] = _Lookup(last.key, [text + piece.text for text in last.texts])
        elif isinstance(piece, _Lookup) and isinstance(last, _Constant):
            merged[-1] = _Lookup(piece.key, [last.text + text for text in piece.texts])
        elif isinstance(piece, _Lookup) and isinstance(last, _Lookup) and piece.key == last.key:
            merged[-1] = _Lookup(piece.key, [a + b for a, b in zip(last.texts, piece.texts, strict=True)])
        else:
            merged.append(piece)
    return merged
