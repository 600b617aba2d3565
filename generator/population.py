"""Who pays and who is paid: the pools of accounts and merchants, drawn once from the seed, then never changed.

Accounts and merchants are positions in arrays; their names are made where a record is written.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generator.places import COUNTRIES

FAVOURITES = 5  # merchants that an account goes to


@dataclass(frozen=True)
class Kind:
    """A kind of merchant: its ISO 18245 category, what such places are called, how much people spend there (the
    log-normal's median in US cents and its sigma), its share of the visits, and how one pays.
    """

    category: str
    nouns: tuple[str, ...]
    median_cents: int
    sigma: float
    weight: int
    transaction_type: str = "purchase"
    sells_online: bool = True


KINDS = (
    Kind("5411", ("Market", "Grocers", "Foods"), 3_500, 0.6, 22),
    Kind("5812", ("Kitchen", "Bistro", "Table"), 2_800, 0.6, 12),
    Kind("5814", ("Burger", "Coffee", "Noodles"), 1_100, 0.4, 14, sells_online=False),
    Kind("5541", ("Fuel", "Service Station"), 4_500, 0.4, 8, sells_online=False),
    Kind("5912", ("Pharmacy", "Apothecary"), 1_800, 0.6, 6),
    Kind("5651", ("Outfitters", "Clothing", "Wardrobe"), 6_000, 0.7, 6),
    Kind("5732", ("Electronics", "Audio", "Devices"), 15_000, 0.8, 4),
    Kind("5942", ("Books", "Paper & Ink"), 2_000, 0.5, 4),
    Kind("4111", ("Transit", "Tramways", "Railway"), 600, 0.5, 9),
    Kind("7011", ("Hotel", "Inn"), 18_000, 0.6, 3),
    Kind("7832", ("Cinema", "Picture House"), 2_200, 0.4, 3),
    Kind("6011", ("Bank ATM", "Cash Point"), 10_000, 0.5, 5, "withdrawal", sells_online=False),
    Kind("4829", ("Remittance", "Payments"), 15_000, 0.8, 4, "transfer"),
)

# fmt: off
_WORDS = (
    "Acorn", "Alder", "Amber", "Anchor", "Aster", "Beacon", "Birch", "Bluebird", "Bridge", "Cedar", "Clover",
    "Copper", "Coral", "Crown", "Daisy", "Eagle", "Elm", "Ember", "Falcon", "Fern", "Foxglove", "Garden", "Golden",
    "Granite", "Harbour", "Hazel", "Heron", "Hilltop", "Iris", "Ivory", "Juniper", "Lantern", "Laurel", "Lily",
    "Linden", "Maple", "Meadow", "Mill", "Northern", "Oak", "Olive", "Orchard", "Otter", "Park", "Pearl", "Pine",
    "Poppy", "Quarry", "Raven", "River", "Robin", "Rowan", "Saffron", "Silver", "Sparrow", "Station", "Stone",
    "Summit", "Sunrise", "Swan", "Tower", "Valley", "Walnut", "Westgate", "Willow", "Windmill",
)
# fmt: on


@dataclass(frozen=True)
class Merchants:
    """Every merchant: one entry an array. `kind` is a position in KINDS, `price_percent` how dear the place is."""

    ids: NDArray[np.object_]
    names: NDArray[np.object_]
    kind: NDArray[np.int64]
    price_percent: NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """Every account: its country (a position in COUNTRIES), its favourite merchants, dearest habit first, and how many
    per cent of its purchases are made online. `residents` has the accounts of each country.
    """

    merchants: Merchants
    country: NDArray[np.uint8]
    favourites: NDArray[np.unsignedinteger]
    online_percent: NDArray[np.uint8]
    residents: tuple[NDArray[np.int64], ...]

    def __len__(self) -> int:
        return len(self.country)

    def someone(self, rng: np.random.Generator, countries: NDArray[np.bool_]) -> int | None:
        """A random account of those `countries` that are marked; None where nobody lives there."""
        sizes = np.array([len(accounts) for accounts in self.residents]) * countries
        if not sizes.any():
            return None
        home = self.residents[int(rng.choice(len(sizes), p=sizes / sizes.sum()))]
        return int(home[rng.integers(len(home))])


def build_population(rng: np.random.Generator, *, accounts: int, merchants_per_country: int) -> Population:
    """A population of `accounts` accounts. Every country has one at least."""
    merchants = _merchants(rng, merchants_per_country)
    weights = np.array([country.weight for country in COUNTRIES], dtype=float)
    country = rng.choice(len(COUNTRIES), size=accounts, p=weights / weights.sum()).astype(np.uint8)
    country[: len(COUNTRIES)] = np.arange(len(COUNTRIES))
    residents = tuple(np.flatnonzero(country == place) for place in range(len(COUNTRIES)))

    popularity = np.array([kind.weight for kind in KINDS], dtype=float)[merchants.kind]
    favourites = np.empty((accounts, FAVOURITES), dtype=np.min_scalar_type(len(merchants.ids)))
    for place, homes in enumerate(residents):
        first = place * merchants_per_country
        share = popularity[first : first + merchants_per_country]
        favourites[homes] = first + rng.choice(len(share), size=(len(homes), FAVOURITES), p=share / share.sum())
    return Population(
        merchants=merchants,
        country=country,
        favourites=favourites,
        online_percent=rng.integers(5, 60, size=accounts).astype(np.uint8),
        residents=residents,
    )


def _merchants(rng: np.random.Generator, per_country: int) -> Merchants:
    """`per_country` merchants of every country, in the order of COUNTRIES; each kind is there in every country."""
    total = per_country * len(COUNTRIES)
    kind = np.arange(total) % per_country % len(KINDS)
    words = rng.integers(len(_WORDS), size=total).tolist()
    nouns = rng.integers(6, size=total).tolist()
    names = [
        f"{_WORDS[word]} {KINDS[which].nouns[noun % len(KINDS[which].nouns)]}"
        for word, noun, which in zip(words, nouns, kind.tolist(), strict=True)
    ]
    return Merchants(
        ids=np.array([f"MER{number:06d}" for number in range(1, total + 1)], dtype=object),
        names=np.array(names, dtype=object),
        kind=kind,
        price_percent=rng.integers(70, 151, size=total),
    )
