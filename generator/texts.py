"""Text by the column: fixed-width ASCII as matrices of octets, a row a record.

Made by table lookups of numpy, many records at once, where formatting would take one string after the other.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DIGITS = np.array([[ord(digit) for digit in f"{number:03d}"] for number in range(1000)], dtype=np.uint8)
"""The three digits of each number below 1000."""

_ACCOUNT_BYTES = 12
_SECOND_BYTES, _TIME_BYTES = 20, 24
# The two hexadecimal digits of an octet, as one number that lies in memory like them.
_HEX = np.frombuffer("".join(f"{octet:02x}" for octet in range(256)).encode(), dtype=np.uint16)
# The groups of a UUID's 32 digits: where each starts in them, and in the text with its hyphens.
_GROUPS = ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24))


def account_ids(accounts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The ids of accounts as text: _ACCOUNT_BYTES octets each."""
    numbers = accounts + 1
    text = np.empty((len(numbers), _ACCOUNT_BYTES), dtype=np.uint8)
    text[:, :3] = np.frombuffer(b"ACC", dtype=np.uint8)
    text[:, 3:6] = DIGITS[numbers // 1_000_000]
    text[:, 6:9] = DIGITS[numbers // 1000 % 1000]
    text[:, 9:] = DIGITS[numbers % 1000]
    return text


def time_texts(times_ms: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Times (UTC milliseconds) as the contract wants an event time, `2026-11-22T10:00:00.123Z`: 24 octets each."""
    seconds, positions = np.unique(times_ms // 1000, return_inverse=True)
    texts = np.datetime_as_string(seconds.astype("datetime64[s]"))
    text = np.empty((len(times_ms), _TIME_BYTES), dtype=np.uint8)
    whole = "".join(texts.tolist()).encode()
    text[:, : _SECOND_BYTES - 1] = np.frombuffer(whole, dtype=np.uint8).reshape(len(seconds), -1)[positions]
    text[:, _SECOND_BYTES - 1] = ord(".")
    text[:, _SECOND_BYTES : _TIME_BYTES - 1] = DIGITS[times_ms % 1000]
    text[:, _TIME_BYTES - 1] = ord("Z")
    return text


def octets(text: NDArray[np.uint8]) -> list[bytes]:
    """Rows of fixed-width text as Python bytes."""
    found: list[bytes] = binary(text).to_pylist()
    return found


def uuids(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Random UUIDs (version 4, lower case) from `rng`, as text: 36 octets each.

    The uuid module draws from the system and cannot be seeded.
    """
    octets = np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = np.full((count, 36), ord("-"), dtype=np.uint8)
    digits = _HEX[octets].view(np.uint8)
    for start, stop, at in _GROUPS:
        text[:, at : at + stop - start] = digits[:, start:stop]
    return text


def binary(text: NDArray[np.uint8]) -> pa.Array:
    """Rows of fixed-width text as an Arrow array of binary, without a copy."""
    rows, width = text.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * width
    return pa.BinaryArray.from_buffers(
        pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))]
    )
