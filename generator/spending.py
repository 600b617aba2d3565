"""How an ordinary transaction comes about: which account, at which merchant, for how much and through which channel.

Drawn for many records at once. Amounts are whole US cents.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from generator.places import COUNTRIES, local_hours
from generator.population import ALWAYS_OPEN, INCOMES, KINDS, Population, Shard, favourite_ranks
from generator.seasons import PROFILES, willingness

TYPES = ("purchase", "withdrawal", "transfer", "refund")
CHANNELS = ("pos", "online", "atm")
PURCHASE, WITHDRAWAL, TRANSFER, REFUND = range(len(TYPES))
POS, ONLINE, ATM = range(len(CHANNELS))

LARGEST_CENTS = 1_000_000
SMALLEST_CENTS = 50
REFUND_SHARE = 0.01

_HALF_HOUR_MS = 1_800_000

_LOG_MEDIAN = np.log([kind.median_cents for kind in KINDS])
_SIGMA = np.array([kind.sigma for kind in KINDS])
_SELLS_ONLINE = np.array([kind.sells_online for kind in KINDS])
_OPENS, _CLOSES = (np.array(hours) for hours in zip(*(kind.hours for kind in KINDS), strict=True))
_TYPE = np.array([TYPES.index(kind.transaction_type) for kind in KINDS], dtype=np.uint8)
_SPENDING_PERCENT = np.array([income.spending_percent for income in INCOMES])
_RANKS = favourite_ranks()


@dataclass(frozen=True)
class Spending:
    """Columns of equal length, one entry a record. Types and channels are positions in TYPES and CHANNELS."""

    merchant: NDArray[np.int64]
    us_cents: NDArray[np.int64]
    transaction_type: NDArray[np.uint8]
    channel: NDArray[np.uint8]


class Deck:
    """Deals accounts like cards: a busy account has more of them, spread evenly with some play, and all are dealt
    before any comes again.

    Independent draws would give a busy account six transactions a minute by accident some 14 times an hour (1,000
    accounts, 10 records a second): alerts that nobody staged.
    """

    def __init__(self, population: Population, rng: np.random.Generator, shard: Shard = Shard()) -> None:  # noqa: B008
        self._population, self._rng = population, rng
        self._accounts = np.arange(shard.number, len(population), shard.count, dtype=np.uint32)
        self._cards, self._next = self._shuffled(), 0
        self._there = np.zeros((len(PROFILES), len(COUNTRIES)), dtype=np.bool_)
        self._there[population.profile[self._accounts], population.country[self._accounts]] = True

    def deal(self, times_ms: NDArray[np.int64], *, before_ms: int = 0, after_ms: int = 0) -> NDArray[np.int64]:
        """An account for each of `times_ms` (ascending), willing to spend then.

        Willing also `before_ms` before and `after_ms` after it: a record may come late, or be sent later than planned.
        Where nobody in the deck is (it may be a shard's, of a few accounts), everybody is as willing as any other.
        """
        dealt = np.empty(len(times_ms), dtype=np.int64)
        moments = sorted({0, -before_ms, after_ms})
        country, profile = self._population.country, self._population.profile
        for start, stop in _stretches(times_ms, moments) if len(times_ms) else ():
            willing = _willingness_everywhere(times_ms[start : start + 1], moments)
            if not willing[self._there].any():
                willing = np.ones_like(willing)
            while start < stop:
                hand = self._take(stop - start)
                chance = willing[profile[hand], country[hand]]
                taken = hand[self._rng.random(len(hand), dtype=np.float32) < chance]
                # In the deck's order, or cards of one account that lie far apart in it would come close in time.
                dealt[start : start + len(taken)] = taken
                start += len(taken)
        return dealt

    def _take(self, count: int) -> NDArray[np.uint32]:
        hands, missing = [], count
        while missing > 0:
            if self._next == len(self._cards):
                self._cards, self._next = self._shuffled(), 0
            hand = self._cards[self._next : self._next + missing]
            self._next += len(hand)
            missing -= len(hand)
            hands.append(hand)
        return hands[0] if len(hands) == 1 else np.concatenate(hands)

    def _shuffled(self) -> NDArray[np.uint32]:
        """The cards of an account of activity n lie one in each n-th of the deck, in the middle half of it: at least
        half of an n-th apart.
        """
        activity = self._population.activity[self._accounts]
        cards = np.repeat(self._accounts, activity)
        first = np.repeat(np.cumsum(activity, dtype=np.int64) - activity, activity)
        nth = np.arange(len(cards)) - first
        # float32: the play, not the order of two neighbours, is what matters.
        place = (nth + 0.25 + self._rng.random(len(cards), dtype=np.float32) / 2) / np.repeat(activity, activity)
        return np.asarray(cards[np.argsort(place.astype(np.float32))])


def _willingness_everywhere(time_ms: NDArray[np.int64], moments: list[int]) -> NDArray[np.float64]:
    """The least willingness at the `moments` around a time, by profile and country."""
    profile, place = np.indices((len(PROFILES), len(COUNTRIES)))
    least: NDArray[np.float64] = np.minimum.reduce(
        [willingness(time_ms + moment, place, profile) for moment in moments]
    )
    return least


def _stretches(times_ms: NDArray[np.int64], moments: list[int]) -> list[tuple[int, int]]:
    """The parts of `times_ms` (ascending) in which nobody's willingness changes at any of the `moments` around them."""
    # Clocks differ from UTC by whole half hours.
    half_hours = sum((times_ms + moment) // _HALF_HOUR_MS for moment in moments)
    edges = np.flatnonzero(np.diff(half_hours)) + 1
    return list(pairwise([0, *edges.tolist(), len(times_ms)]))


def spend(
    population: Population,
    accounts: NDArray[np.int64],
    times_ms: NDArray[np.int64],
    rng: np.random.Generator,
) -> Spending:
    """One transaction of each of `accounts` at `times_ms` (UTC, ascending), at one of its favourite merchants.

    Where that is closed the account buys online, or at the place of its country that never closes.
    """
    count = len(accounts)
    merchants = population.merchants
    favourite = _RANKS[rng.integers(256, size=count, dtype=np.uint8)]
    merchant = population.favourites[accounts, favourite].astype(np.int64)
    kind = merchants.kind[merchant]

    hours = local_hours(times_ms, population.country[accounts])
    closed = (hours < _OPENS[kind]) | (hours >= _CLOSES[kind])
    online = _SELLS_ONLINE[kind] & (closed | (rng.integers(100, size=count) < population.online_percent[accounts]))
    elsewhere = closed & ~online
    merchant[elsewhere] = merchants.place(merchant[elsewhere]) * merchants.per_country + ALWAYS_OPEN
    kind[elsewhere] = ALWAYS_OPEN

    percent = merchants.price_percent[merchant] * _SPENDING_PERCENT[population.income[accounts]] // 100
    usual = np.exp(_LOG_MEDIAN[kind] + _SIGMA[kind] * rng.standard_normal(count)).astype(np.int64)
    us_cents = np.clip(usual * percent // 100, SMALLEST_CENTS, LARGEST_CENTS)

    transaction_type = _TYPE[kind]
    channel = np.where(online, np.uint8(ONLINE), np.uint8(POS))
    channel[transaction_type == TRANSFER] = ONLINE
    channel[transaction_type == WITHDRAWAL] = ATM
    returned = (rng.random(count, dtype=np.float32) < REFUND_SHARE) & (transaction_type == PURCHASE)
    transaction_type[returned] = REFUND
    return Spending(merchant, us_cents, transaction_type, channel)


def usual_type(kind: int) -> int:
    """What one does at a merchant of `kind`: a position in TYPES."""
    return int(_TYPE[kind])
