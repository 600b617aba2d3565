"""Who pays and who is paid: the pools of accounts and merchants, drawn once from the seed, then never changed.

Accounts and merchants are positions in arrays; their names are made where a record is written.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from mimesis import Person
from mimesis.locales import Locale
from numpy.typing import NDArray

from generator.places import COUNTRIES, SHARES
from generator.seasons import PROFILES

FAVOURITES = 5  # merchants that an account goes to
# How often an account goes to each of them. Of 256, so that one random byte decides.
_HABIT = (104, 62, 41, 28, 21)
# Over how many merchants of a country the visits are spread: the popularity of the n-th is n to this power.
_POPULARITY = -0.8


@dataclass(frozen=True)
class Kind:
    """A kind of merchant: its ISO 18245 category, what such places are called, how much people spend there (the
    log-normal's median in US cents and its sigma), its share of the visits, its opening hours (local, to before the
    second), and how one pays.
    """

    category: str
    nouns: tuple[str, ...]
    median_cents: int
    sigma: float
    weight: int
    hours: tuple[int, int] = (0, 24)
    transaction_type: str = "purchase"
    sells_online: bool = True


KINDS = (
    Kind("5411", ("Market", "Grocers", "Foods"), 3_500, 0.6, 22, (6, 23)),
    Kind("5812", ("Kitchen", "Bistro", "Table"), 2_800, 0.6, 12, (10, 24)),
    Kind("5814", ("Burger", "Coffee", "Noodles"), 1_100, 0.4, 14, (6, 24), sells_online=False),
    Kind("5541", ("Fuel", "Service Station"), 4_500, 0.4, 8, sells_online=False),
    Kind("5912", ("Pharmacy", "Apothecary"), 1_800, 0.6, 6, (8, 22)),
    Kind("5651", ("Outfitters", "Clothing", "Wardrobe"), 6_000, 0.7, 6, (9, 21)),
    Kind("5732", ("Electronics", "Audio", "Devices"), 15_000, 0.8, 4, (9, 21)),
    Kind("5942", ("Books", "Paper & Ink"), 2_000, 0.5, 4, (9, 20)),
    Kind("4111", ("Transit", "Tramways", "Railway"), 600, 0.5, 9, (5, 24)),
    Kind("7011", ("Hotel", "Inn"), 18_000, 0.6, 3),
    Kind("7832", ("Cinema", "Picture House"), 2_200, 0.4, 3, (11, 24)),
    Kind("6011", ("Bank ATM", "Cash Point"), 10_000, 0.5, 5, transaction_type="withdrawal", sells_online=False),
    Kind("4829", ("Remittance", "Payments"), 15_000, 0.8, 4, transaction_type="transfer"),
)
ALWAYS_OPEN = next(i for i, kind in enumerate(KINDS) if kind.hours == (0, 24) and kind.transaction_type == "purchase")


@dataclass(frozen=True)
class Income:
    """A class of income: its share of the accounts, and what they spend relative to the middle one, in per cent."""

    name: str
    share: float
    spending_percent: int


INCOMES = (
    Income("low", 0.30, 60),
    Income("middle", 0.48, 100),
    Income("high", 0.18, 180),
    Income("wealthy", 0.04, 350),
)

# How often an account pays, relative to the least busy: a long tail, in which the share of those that pay n times as
# often falls with n to the power of this (a truncated zeta distribution).
_ACTIVITY_POWER = -1.6
BUSIEST = 8


@dataclass(frozen=True)
class Merchants:
    """Every merchant: one entry an array. Those of a country lie together, in the order of COUNTRIES.

    `kind` is a position in KINDS, `price_percent` how dear the place is, `skew_ms` how far its clock is ahead.
    """

    per_country: int
    names: tuple[str, ...]
    kind: NDArray[np.int64]
    price_percent: NDArray[np.int64]
    skew_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def place(self, merchants: NDArray[np.integer]) -> NDArray[np.integer]:
        """The country of each of `merchants`, a position in COUNTRIES."""
        return merchants // self.per_country

    @cached_property
    def online(self) -> tuple[NDArray[np.int64], ...]:
        """Of each country the merchants that sell online."""
        return self._by_place([number for number, kind in enumerate(KINDS) if kind.sells_online])

    @cached_property
    def counters(self) -> tuple[NDArray[np.int64], ...]:
        """Of each country the merchants at which one buys in person at any hour."""
        return self._by_place([ALWAYS_OPEN])

    def _by_place(self, kinds: list[int]) -> tuple[NDArray[np.int64], ...]:
        found = np.flatnonzero(np.isin(self.kind, kinds))
        return tuple(found[self.place(found) == place] for place in range(len(COUNTRIES)))


@dataclass(frozen=True)
class Population:
    """Every account: its country (a position in COUNTRIES), its income (in INCOMES), its day (in PROFILES), how often
    it pays relative to the least busy, its favourite merchants, dearest habit first, and how many per cent of its
    purchases are made online. `residents` has the accounts of each country that this process may use.
    """

    merchants: Merchants
    country: NDArray[np.uint8]
    income: NDArray[np.uint8]
    profile: NDArray[np.uint8]
    activity: NDArray[np.uint8]
    favourites: NDArray[np.unsignedinteger]
    online_percent: NDArray[np.uint8]
    residents: tuple[NDArray[np.uint32], ...]

    def __len__(self) -> int:
        return len(self.country)

    def crowd(self, countries: NDArray[np.bool_]) -> "Crowd":
        """The residents of those `countries` that are marked."""
        homes = [home for home, marked in zip(self.residents, countries, strict=True) if marked]
        return Crowd(homes, np.cumsum([0, *map(len, homes)]).tolist())


@dataclass(frozen=True)
class Crowd:
    """The accounts of some countries, one array a country, and how many there are before each and in all."""

    homes: Sequence[NDArray[np.uint32]]
    before: Sequence[int]

    def someone(self, rng: np.random.Generator) -> int | None:
        """One of them at random; None where there is nobody."""
        # A float: for a single number four times as fast as integers().
        chosen = int(rng.random() * self.before[-1])
        if not self.before[-1]:
            return None
        home = bisect(self.before, chosen) - 1
        return int(self.homes[home][chosen - self.before[home]])


@dataclass(frozen=True)
class Shard:
    """The part of the accounts that one of several processes uses: every `count`-th, from `number` on."""

    number: int = 0
    count: int = 1


def build_population(
    rng: np.random.Generator,
    *,
    accounts: int,
    merchants_per_country: int,
    busiest: int = BUSIEST,
    skewed_percent: float = 0,
    longest_skew_ms: int = 0,
    shard: Shard = Shard(),
) -> Population:
    """A population of `accounts` accounts, of which the busiest pays `busiest` times as often as the least busy.

    Every country has an account at least. `skewed_percent` of the merchants have a clock that is wrong by at most
    `longest_skew_ms`. The shard decides only who the residents are.
    """
    merchants = _merchants(rng, merchants_per_country, skewed_percent, longest_skew_ms)
    country = rng.choice(len(COUNTRIES), size=accounts, p=SHARES).astype(np.uint8)
    country[: len(COUNTRIES)] = np.arange(len(COUNTRIES))

    visits = np.array([kind.weight for kind in KINDS], dtype=float)[merchants.kind]
    favourites = np.empty((accounts, FAVOURITES), dtype=np.min_scalar_type(len(merchants)))
    everyone = np.argsort(country, kind="stable").astype(np.uint32)
    homes = np.split(everyone, np.cumsum(np.bincount(country, minlength=len(COUNTRIES)))[:-1])
    for place, home in enumerate(homes):
        first = place * merchants_per_country
        share = _popularity(visits[first : first + merchants_per_country], merchants.kind[first:])
        favourites[home] = first + rng.choice(len(share), size=(len(home), FAVOURITES), p=share)
    return Population(
        merchants=merchants,
        country=country,
        income=_classes([income.share for income in INCOMES], rng, accounts),
        profile=_classes([profile.share for profile in PROFILES], rng, accounts),
        activity=1 + _classes(activity_shares(busiest).tolist(), rng, accounts),
        favourites=favourites,
        online_percent=rng.integers(5, 60, size=accounts).astype(np.uint8),
        residents=tuple(home[home % shard.count == shard.number] for home in homes),
    )


def activity_shares(busiest: int) -> NDArray[np.float64]:
    """The shares of the accounts that pay 1, 2, ... `busiest` times as often as the least busy."""
    shares = [number**_ACTIVITY_POWER for number in range(1, busiest + 1)]
    return np.array([share / sum(shares) for share in shares])


def favourite_ranks() -> NDArray[np.uint8]:
    """256 ranks among an account's favourites, each as often as an account goes there."""
    return np.repeat(np.arange(FAVOURITES, dtype=np.uint8), _HABIT)


def _classes(shares: Sequence[float], rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """The class of each of `count` accounts, by the classes' shares."""
    return rng.choice(len(shares), size=count, p=shares).astype(np.uint8)


def _popularity(visits: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of each merchant of a country in the visits: its kind's, and within the kind a long tail."""
    kind = kind[: len(visits)]
    rank = np.array([np.count_nonzero(kind[:i] == kind[i]) for i in range(len(kind))]) + 1.0
    tail = rank**_POPULARITY
    share = visits * tail / np.array([tail[kind == which].sum() for which in kind])
    return np.asarray(share / share.sum())


def _merchants(rng: np.random.Generator, per_country: int, skewed_percent: float, longest_skew_ms: int) -> Merchants:
    """`per_country` merchants of every country; each kind is there in every country."""
    total = per_country * len(COUNTRIES)
    kind = np.arange(total) % per_country % len(KINDS)
    nouns = rng.integers(6, size=total).tolist()
    owners = (name for country in COUNTRIES for name in _surnames(country.language, per_country, rng))
    names = tuple(
        f"{owner} {KINDS[which].nouns[noun % len(KINDS[which].nouns)]}"
        for owner, noun, which in zip(owners, nouns, kind.tolist(), strict=True)
    )
    skewed = rng.random(total) < skewed_percent / 100
    return Merchants(
        per_country=per_country,
        names=names,
        kind=kind,
        price_percent=rng.integers(70, 151, size=total),
        skew_ms=np.where(skewed, rng.integers(-longest_skew_ms, longest_skew_ms, size=total, endpoint=True), 0),
    )


def _surnames(language: str, count: int, rng: np.random.Generator) -> list[str]:
    person = Person(Locale(language), seed=int(rng.integers(2**31)))
    return [person.last_name() for _ in range(count)]
