"""Records as bytes."""

import json
from datetime import UTC, datetime

import numpy as np
import orjson

from generator.texts import account_ids, octets, time_texts
from generator.traffic import Traffic
from tests.generated import quiet, sample


def test_encode_is_what_a_json_encoder_makes_of_the_same_values() -> None:
    traffic = Traffic(quiet(), seed=1)
    drawn = sample(traffic, 3000)
    for i, value in enumerate(drawn.values):
        record = json.loads(value or b"")
        assert orjson.dumps(record) == value
        assert record["account_id"].encode() == drawn.keys[i]
        assert record["merchant_name"] == traffic.population.merchants.names[drawn.batch.merchant[i]]
        assert record["transaction_id"] == bytes(drawn.batch.transaction_id[i]).decode()
        whole, _, cents = record["amount"].partition(".")
        assert int(whole) * 100 + int(cents) == drawn.batch.money[i]


def test_time_texts_have_milliseconds_and_a_z_and_are_those_of_datetime() -> None:
    times = np.array([0, 1_795_000_000_123, 1_795_000_000_007, 253_402_300_799_999, 951_782_400_000])
    expected = [
        datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time % 1000:03d}Z"
        for time in times.tolist()
    ]
    assert [text.decode() for text in octets(time_texts(times))] == expected


def test_account_ids_count_from_one_with_nine_digits() -> None:
    assert octets(account_ids(np.array([0, 998, 123_456_788]))) == [b"ACC000000001", b"ACC000000999", b"ACC123456789"]
