"""The kinds of records that strangers send, each a function of a seeded draw, with the fate that a record must have.

What a record of the raw topic must become is told by the reference of the contract (`tests/reference_judge.py`), what
is special to a kind by that kind. Records that unpack to 20 MB and more are left out; they have an issue of their own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from random import Random
from uuid import UUID

from contracts import names
from contracts.record_sizes import RAW_TOPIC_BYTES
from generator.malformed import MALFORMATIONS
from tests import mutant_records, nasty_records
from tests.chaos_alerts import foreign_alert
from tests.nasty_records import VALID, compact
from tests.reference_judge import accepts, reason

# What becomes of a record that is no dead letter; a dead letter's fate is its reason.
STORED, NOWHERE, REFUSED = "stored", "nowhere", "refused by the broker"
Headers = tuple[tuple[str, bytes | None], ...]
# The first number of the accounts of strangers, of those that keep the contract.
OWN = 610_000_000
# The last character before the surrogates, the last of all, two that are no characters, and some that take room.
_EDGES = (
    "\ud7ff", "\U0010ffff", "\ufffe", "\uffff", "\ue000", "\ufdd0", "\u202e", "\u0301", "\x00", "\x1f", "\x7f", "é",
)  # fmt: skip
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A record, and its `fate`: `hours` is how far off its time is, `pointer` what its row says that it repairs.

    Of a stored transaction also the `name` and the `moment` that its row has. Where no `partition` is named, records
    of one `key` are in one.
    """

    kind: str
    value: bytes | None
    fate: str
    topic: str = names.RAW_TOPIC
    partition: int = -1
    key: bytes | None = None
    headers: Headers = ()
    hours: float = 0
    codec: str = "none"
    pointer: str | None = None
    name: str | None = None
    moment: datetime | None = None


@dataclass
class Chance:
    """A seeded draw, and how many records of the own accounts it has made."""

    random: Random
    count: int = 0
    corpus: list[tuple[str, bytes | None]] = field(default_factory=list)

    def record(self, **other: str) -> dict[str, str]:
        """Return a valid record of an account of its own, without an alert of any rule but the high value's."""
        self.count += 1
        own = {"account_id": f"ACC{OWN + self.count:09}", "transaction_id": str(UUID(int=self.random.getrandbits(128)))}
        return {**VALID, **own, "timestamp": "2026-11-22T12:00:00.000Z", "amount": "10.00", **other}


def of_contract(kind: str, value: bytes | None) -> Foreign:
    """Return a record of the raw topic with the fate that the contract gives it."""
    fields = accepts(value)
    if fields is None:
        return Foreign(kind=kind, value=value, fate=reason(value) or "")
    moment = datetime.fromisoformat(fields["timestamp"] or "")
    return Foreign(kind=kind, value=value, fate=STORED, name=fields["merchant_name"], moment=moment)


def valid(kind: str, chance: Chance, **other: str) -> Foreign:
    return of_contract(kind, compact(chance.record(**other)))


def nasty(chance: Chance) -> Iterator[Foreign]:
    """Each record of the fixed corpus before any comes a second time."""
    if not chance.corpus:
        chance.corpus = list(nasty_records.nasty())
        chance.random.shuffle(chance.corpus)
    _, value = chance.corpus.pop()
    yield of_contract("corpus", value)


def mutants(chance: Chance) -> Iterator[Foreign]:
    for _, value in mutant_records.mutants(chance.random.getrandbits(32), 10):
        yield of_contract("mutant", value)


def malformed(chance: Chance) -> Iterator[Foreign]:
    """A record broken in one of the ways that the generator knows."""
    way = chance.random.choice(list(MALFORMATIONS.values()))
    yield Foreign(kind="malformed", value=way.breaks(chance.record()), fate=way.reason)


def bare(chance: Chance) -> Iterator[Foreign]:
    """Tombstones and bytes that are no text, under keys that are none either."""
    value = chance.random.choice((None, b"", b"\xff\xfe", chance.random.randbytes(200)))
    yield replace(of_contract("bare", value), key=chance.random.choice((None, b"", b"\xff\x00", b"key")))


def days(chance: Chance) -> Iterator[Foreign]:
    """A user's history: from 1970 on, now and then from all the years that the contract allows."""
    first = date(1970, 1, 1) if chance.random.random() < 0.8 else date.min
    day = date.fromordinal(chance.random.randint(first.toordinal(), date.max.toordinal()))
    yield valid("event day", chance, timestamp=f"{day.isoformat()}T12:00:00.000Z")


def edge_names(chance: Chance) -> Iterator[Foreign]:
    """Yield names around the 16 characters after which Iceberg cuts off a bound, and as long as the contract allows."""
    edge, before = chance.random.choice(_EDGES), chance.random.choice((0, 0, 14, 15, 16))
    name = ("x" * before + edge * 100)[: chance.random.choice((15, 16, 17, 18, 100))]
    record = chance.record(merchant_name=name)
    yield of_contract("name", compact(record) if chance.random.random() < 0.5 else json.dumps(record).encode())
    half = json.dumps(chance.record(merchant_name="x" * before + "\ud800"))
    yield of_contract("half a character", half.encode())


def large_headers(chance: Chance) -> Iterator[Foreign]:
    many: Headers = tuple((f"header {number}", b"x" * 20) for number in range(1_000))
    large: Headers = (("large", chance.random.randbytes(200_000)), ("none", None), ("", b""))
    headers = chance.random.choice((many, large, many + large))
    yield replace(valid("headers", chance), headers=headers)


def large_keys(chance: Chance) -> Iterator[Foreign]:
    yield replace(valid("large key", chance), key=chance.random.randbytes(500_000))


def pointers(chance: Chance) -> Iterator[Foreign]:
    """The header of a replay, forged: bytes that are no position, or one that a record may have."""
    garbage = (None, b"", b"\xff\xfe/0/1", b"x" * 200_000, f"{names.RAW_TOPIC}/0/0\n".encode(), b"0/1", b"a b/0/1")
    yield replace(valid("forged pointer", chance), headers=((names.REPLAY_HEADER, chance.random.choice(garbage)),))
    # Each position once, and none that a test of replays repairs: two repairs of one record are rightly told.
    pointer = f"{names.RAW_TOPIC}/{chance.random.randrange(2)}/{5_000 + chance.count}"
    forged = ((names.REPLAY_HEADER, b"a/0/1"), (names.REPLAY_HEADER, pointer.encode()))
    yield replace(valid("plausible pointer", chance), headers=forged, pointer=pointer)


def clocks(chance: Chance) -> Iterator[Foreign]:
    """Yield records with other times than the broker's: hours ago, at the beginning of all clocks, next year."""
    yield replace(valid("wrong clock", chance), hours=chance.random.choice((-5.0, -72.0, -400_000.0, 9_000.0)))


def sent_twice(chance: Chance) -> Iterator[Foreign]:
    """One record twice in one partition: two rows, one alert."""
    record = chance.record(amount="9000.00", currency="USD")
    once = replace(of_contract("sent twice", compact(record)), key=record["account_id"].encode())
    yield from (once, once)


def conflicts(chance: Chance) -> Iterator[Foreign]:
    """Two payments under one transaction_id: two rows, two alerts."""
    record = chance.record(amount="9000.00", currency="USD")
    other = {**record, "amount": "88000.00", "account_id": f"ACC{OWN + 50_000_000 + chance.count:09}"}
    yield from (of_contract("conflict", compact(each)) for each in (record, other))


def sizes(chance: Chance) -> Iterator[Foreign]:
    """Yield records as large as the broker takes in one batch, larger, and larger before it was compressed."""
    text = compact(chance.record())
    yield of_contract("as large as a batch", text.ljust(RAW_TOPIC_BYTES - 200))
    yield replace(of_contract("larger than a batch", text.ljust(RAW_TOPIC_BYTES + 1)), fate=REFUSED)
    packed = chance.random.choice(_CODECS[1:])
    yield replace(of_contract("compressed", text.ljust(RAW_TOPIC_BYTES + 500_000)), codec=packed)


def codecs(chance: Chance) -> Iterator[Foreign]:
    yield replace(valid("codec", chance), codec=chance.random.choice(_CODECS))


def alerts(chance: Chance) -> Iterator[Foreign]:
    value, why, account = foreign_alert(chance.random)
    alert = Foreign(kind="no alert", value=value, fate=why or "", topic=names.ALERT_TOPIC, key=account.encode())
    if why is not None:
        yield alert
        return
    yield replace(alert, kind="forged alert", fate=STORED)
    yield replace(alert, kind="forged alert again", fate=NOWHERE)


def dead_letters(chance: Chance) -> Iterator[Foreign]:
    """Nothing of the pipeline reads their topic."""
    value = chance.random.choice((b"hello", b"{}", b"\xff", None, chance.random.randbytes(1_000)))
    yield Foreign(kind="in the dead letters' topic", value=value, fate=NOWHERE, topic=names.DEAD_LETTER_TOPIC)
