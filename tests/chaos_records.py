"""The mixture that strangers send into a running pipeline: streams of records from a seed, which go on for ever.

Pure: nothing is sent here. What a record must become comes with it, from its kind (`tests/chaos_kinds.py`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from generator.malformed import MALFORMATIONS
from tests import chaos_kinds as kinds
from tests.chaos_kinds import Chance, Foreign

_KINDS: tuple[tuple[Callable[[Chance], Iterator[Foreign]], float], ...] = (
    (kinds.nasty, 20), (kinds.mutants, 2.5), (kinds.malformed, 15), (kinds.bare, 3), (kinds.days, 20),
    (kinds.edge_names, 8), (kinds.large_headers, 1), (kinds.large_keys, 0.5), (kinds.pointers, 2), (kinds.clocks, 3),
    (kinds.sent_twice, 1), (kinds.conflicts, 1), (kinds.sizes, 0.05), (kinds.codecs, 4), (kinds.alerts, 3),
    (kinds.dead_letters, 1),
)  # fmt: skip


def mixture(seed: int) -> Iterator[Foreign]:
    """Yield records of every kind for ever; the first of each kind among the first few."""
    chance = Chance(Random(f"mixture {seed}"))
    makers, weights = zip(*_KINDS, strict=True)
    for make in chance.random.sample(makers, len(makers)):
        yield from make(chance)
    while True:
        for make in chance.random.choices(makers, weights, k=1_000):
            yield from make(chance)


def flood(seed: int) -> Iterator[Foreign]:
    """Yield small malformed records for ever: what a broken producer sends as fast as it can.

    Made beforehand, and without the one that is 33 kB long: of a flood of records it would make one of bytes.
    """
    chance = Chance(Random(f"flood {seed}"))
    ways = [way for way in MALFORMATIONS.values() if way.name != "longer_than_the_limit"]
    drawn = [chance.random.choice(ways) for _ in range(2_000)]
    pool = [Foreign(kind="flood", value=way.breaks(chance.record()), fate=way.reason) for way in drawn]
    while True:
        yield from pool


def of_transactions(seed: int) -> Iterator[Foreign]:
    """Yield records for a transactional producer for ever: most are valid and have an alert, the others malformed."""
    chance = Chance(Random(f"transactions {seed}"), count=20_000_000)
    while True:
        if chance.random.random() < 0.8:
            yield kinds.valid("in a transaction", chance, amount="99999.00", currency="USD")
        else:
            yield from (replace(record, kind="malformed, in a transaction") for record in kinds.malformed(chance))
