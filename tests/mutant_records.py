"""Random mutants of valid records, from a seed."""

import json
import random
from collections.abc import Iterator
from uuid import UUID

from tests.nasty_records import ANY_VALUE, TEXTS, VALID


def mutants(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """`count` records of which about a third are valid: valid ones, some with a byte, a token or a value changed."""
    chance = random.Random(seed)
    alphabet = "abcXYZ019 .,:;-_&'/\\\"{}[]\n\t\x00\x7fé田😀\u2028\ufffd\ufeff"
    for number in range(count):
        record: dict[str, object] = {
            **VALID,
            "transaction_id": str(UUID(int=chance.getrandbits(128))),
            "amount": f"{chance.choice((chance.randrange(100), chance.randrange(10**12)))}.{chance.randrange(100):02}",
            "timestamp": f"{chance.randrange(1, 10000):04}-{chance.randrange(1, 13):02}-{chance.randrange(1, 32):02}T"
            f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}.{chance.randrange(1000):03}Z",
            "merchant_name": "".join(chance.choices(alphabet, k=chance.choice((1, 5, 20, 99, 100, 101)))),
        }
        if chance.random() < 0.3:
            record["merchant_name"] = "Grocery"
        if chance.random() < 0.2:
            field = chance.choice(list(VALID))
            record[field] = chance.choice((*ANY_VALUE, *TEXTS[field]))
        if chance.random() < 0.2:
            record = dict(chance.sample(list(record.items()), len(record)))
        if chance.random() < 0.2:
            record[chance.choice(("x", "amount ", "é", ""))] = chance.choice(ANY_VALUE)
        layout = chance.choice(((",", ":"), (", ", ": "), (" ,\n", " : ")))
        text = json.dumps(record, ensure_ascii=chance.random() < 0.3, separators=layout).encode(
            "utf-8", "surrogatepass"
        )
        if chance.random() < 0.4:
            text = _damaged(text, chance)
        yield f"mutant {number}", text


def _damaged(text: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(text))
    stop = min(len(text), start + chance.choice((0, 1, 1, 2, 5)))
    pieces = (b"", b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b" ", b"\n", b"0", b"a", b"\x80", b"\xc3",
    b"\xef\xbf\xbd", rb"\u0041", rb"\ud800", rb"\n", b'":"', text[start:stop] * 2)  # fmt: skip
    return text[:start] + chance.choice(pieces) + text[stop:]
