"""How an ordinary transaction comes about: which account, at which merchant, for how much and through which channel.

Drawn for many records at once. Amounts are whole US cents; text and currency are made in `traffic`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.population import FAVOURITES, KINDS, Population

LARGEST_CENTS = 200_000  # an ordinary amount: below every threshold of the alerting rules
_SMALLEST_CENTS = 50
_REFUND_SHARE = 0.01

_LOG_MEDIAN = np.log([kind.median_cents for kind in KINDS])
_SIGMA = np.array([kind.sigma for kind in KINDS])
_SELLS_ONLINE = np.array([kind.sells_online for kind in KINDS])
_TYPE = np.array([kind.transaction_type for kind in KINDS], dtype=object)


@dataclass(frozen=True)
class Spending:
    """Columns of equal length, one entry a record."""

    merchant: NDArray[np.unsignedinteger]
    cents: NDArray[np.int64]
    transaction_type: NDArray[np.object_]
    channel: NDArray[np.object_]


class Deck:
    """Deals accounts like cards: each once, in random order, before any comes again.

    Independent draws would give a busy account six transactions a minute by accident some 14 times an hour (1,000
    accounts, 10 records a second): alerts that nobody staged.
    """

    def __init__(self, population: Population, rng: np.random.Generator) -> None:
        self._country, self._rng = population.country, rng
        self._cards = rng.permutation(len(population))
        self._next = 0

    def deal(self, count: int, *, awake: NDArray[np.bool_]) -> NDArray[np.int64]:
        """`count` accounts of the countries marked in `awake`, one of which must be; the others miss their turn."""
        hands: list[NDArray[np.int64]] = []
        missing = count
        while missing > 0:
            if self._next == len(self._cards):
                self._cards, self._next = self._rng.permutation(len(self._cards)), 0
            hand = self._cards[self._next : self._next + missing]
            self._next += len(hand)
            hand = hand[awake[self._country[hand]]]
            hands.append(hand)
            missing -= len(hand)
        return np.concatenate(hands) if hands else np.empty(0, dtype=np.int64)


def spend(population: Population, accounts: NDArray[np.int64], rng: np.random.Generator) -> Spending:
    """One transaction of each of `accounts`, at one of its favourite merchants (the first most often)."""
    count = len(accounts)
    favourite = np.minimum(rng.geometric(0.35, size=count), FAVOURITES) - 1
    merchant = population.favourites[accounts, favourite]
    kind = population.merchants.kind[merchant]

    usual = np.exp(_LOG_MEDIAN[kind] + _SIGMA[kind] * rng.standard_normal(count)).astype(np.int64)
    cents = np.clip(usual * population.merchants.price_percent[merchant] // 100, _SMALLEST_CENTS, LARGEST_CENTS)

    transaction_type = _TYPE[kind]
    at_home = rng.integers(100, size=count) < population.online_percent[accounts]
    channel = np.full(count, "pos", dtype=object)
    channel[at_home & _SELLS_ONLINE[kind]] = "online"
    channel[transaction_type == "transfer"] = "online"
    channel[transaction_type == "withdrawal"] = "atm"
    transaction_type[(rng.random(count) < _REFUND_SHARE) & (transaction_type == "purchase")] = "refund"
    return Spending(merchant, cents, transaction_type, channel)
