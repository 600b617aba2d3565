"""The ways a record can break the contract: each a small function with the reason code a validator must give it.

Every way breaks exactly one thing, so that its reason is beyond dispute. A new way is a new function here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from contracts.schema import load_contract

Record = dict[str, str]
_Break = Callable[[Record], bytes | None]


@dataclass(frozen=True)
class Malformation:
    """A way to break a valid record.

    `reason` is a reason_code of the dead-letter contract, `identified` whether the broken record still is an object
    with its valid transaction_id, `breaks` makes the Kafka value (None: a record without one).
    """

    name: str
    reason: str
    identified: bool
    breaks: _Break


MALFORMATIONS: dict[str, Malformation] = {}
_LIMITS: dict[str, int] = load_contract("transaction").schema["x-limits"]


def _way(reason: str, *, identified: bool = True) -> Callable[[_Break], _Break]:
    def register(function: _Break) -> _Break:
        name = function.__name__
        MALFORMATIONS[name] = Malformation(name, reason, identified, function)
        return function

    return register


@_way("too_large")
def longer_than_the_limit(record: Record) -> bytes:
    return orjson.dumps({**record, "note": "x" * _LIMITS["bytes"]})


@_way("too_large")
def nested_too_often(record: Record) -> bytes:
    depth = _LIMITS["containers"]
    return orjson.dumps(record)[:-1] + b',"note":' + b"[" * depth + b"]" * depth + b"}"


@_way("no_payload", identified=False)
def without_value(record: Record) -> bytes | None:
    return None


@_way("not_utf8", identified=False)
def invalid_utf8(record: Record) -> bytes:
    return orjson.dumps(record).replace(b'"merchant_name":"', b'"merchant_name":"\xff\xfe')


@_way("malformed_json", identified=False)
def truncated(record: Record) -> bytes:
    return orjson.dumps(record)[:-40]


@_way("malformed_json", identified=False)
def trailing_text(record: Record) -> bytes:
    return orjson.dumps(record) + b" end"


@_way("not_an_object", identified=False)
def inside_an_array(record: Record) -> bytes:
    return orjson.dumps([record])


@_way("missing_field")
def without_amount(record: Record) -> bytes:
    return orjson.dumps({name: value for name, value in record.items() if name != "amount"})


@_way("missing_field", identified=False)
def without_transaction_id(record: Record) -> bytes:
    return orjson.dumps({name: value for name, value in record.items() if name != "transaction_id"})


@_way("wrong_type")
def amount_as_number(record: Record) -> bytes:
    # Cut after the point rather than converted: no amount passes through a float here either.
    return orjson.dumps({**record, "amount": int(record["amount"].partition(".")[0])})


@_way("wrong_type")
def null_merchant_name(record: Record) -> bytes:
    return orjson.dumps({**record, "merchant_name": None})


@_way("bad_format")
def amount_with_comma(record: Record) -> bytes:
    return orjson.dumps({**record, "amount": record["amount"].replace(".", ",")})


@_way("bad_format")
def timestamp_without_zone(record: Record) -> bytes:
    return orjson.dumps({**record, "timestamp": record["timestamp"].removesuffix("Z")})


@_way("bad_format")
def thirtieth_of_february(record: Record) -> bytes:
    return orjson.dumps({**record, "timestamp": f"{record['timestamp'][:4]}-02-30{record['timestamp'][10:]}"})


@_way("bad_format", identified=False)
def transaction_id_without_hyphens(record: Record) -> bytes:
    return orjson.dumps({**record, "transaction_id": record["transaction_id"].replace("-", "")})


@_way("not_in_enum")
def unknown_currency(record: Record) -> bytes:
    return orjson.dumps({**record, "currency": "XTS"})


@_way("not_in_enum")
def unknown_country(record: Record) -> bytes:
    return orjson.dumps({**record, "country": "ZZ"})


@_way("out_of_range")
def empty_merchant_name(record: Record) -> bytes:
    return orjson.dumps({**record, "merchant_name": ""})


@_way("out_of_range")
def long_merchant_name(record: Record) -> bytes:
    return orjson.dumps({**record, "merchant_name": record["merchant_name"].ljust(101, "x")})
