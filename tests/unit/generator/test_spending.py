"""Ordinary spending: whose turn it is, and for how much."""

import numpy as np

from generator.places import COUNTRIES
from generator.population import KINDS, Population, build_population
from generator.spending import LARGEST_CENTS, Deck, spend

EVERYWHERE = np.ones(len(COUNTRIES), dtype=bool)


def _population(accounts: int = 1000) -> Population:
    return build_population(np.random.default_rng(1), accounts=accounts, merchants_per_country=40)


def test_deck_deals_every_account_once_before_any_twice() -> None:
    deck = Deck(_population(), np.random.default_rng(2))
    dealt = np.concatenate([deck.deal(count, awake=EVERYWHERE) for count in (1, 299, 700, 1000)])
    assert sorted(dealt[:1000]) == sorted(dealt[1000:]) == list(range(1000))
    assert list(dealt[:1000]) != list(dealt[1000:])


def test_deck_leaves_out_accounts_of_sleeping_countries() -> None:
    population = _population()
    awake = EVERYWHERE.copy()
    awake[0] = False
    dealt = Deck(population, np.random.default_rng(2)).deal(5000, awake=awake)
    assert len(dealt) == 5000
    assert 0 not in population.country[dealt]


def test_spend_amounts_have_each_kinds_median_and_a_bound() -> None:
    population = _population()
    accounts = np.random.default_rng(3).integers(1000, size=200_000)
    spending = spend(population, accounts, np.random.default_rng(4))
    kinds = population.merchants.kind[spending.merchant]
    for number, kind in enumerate(KINDS):
        # Price levels are spread evenly from 70 to 150 % over few merchants: the median lies near 110 %.
        ratio = np.median(spending.cents[kinds == number]) / kind.median_cents
        assert 0.8 < ratio < 1.4, (kind, ratio)
    assert spending.cents.max() <= LARGEST_CENTS
    assert spending.cents.min() > 0


def test_spend_merchants_are_in_the_accounts_country() -> None:
    population = _population()
    accounts = np.arange(1000)
    spending = spend(population, accounts, np.random.default_rng(5))
    assert (spending.merchant // 40 == population.country[accounts]).all()


def test_spend_cash_comes_from_machines_and_transfers_go_online() -> None:
    spending = spend(_population(), np.arange(1000).repeat(20), np.random.default_rng(6))
    pairs = set(zip(spending.transaction_type, spending.channel, strict=True))
    assert {channel for kind, channel in pairs if kind == "withdrawal"} == {"atm"}
    assert {channel for kind, channel in pairs if kind == "transfer"} == {"online"}
    assert {channel for kind, channel in pairs if kind == "purchase"} == {"pos", "online"}
    assert any(kind == "refund" for kind, _ in pairs)


def test_build_population_every_country_has_accounts_and_shares_are_as_weighted() -> None:
    population = _population(100_000)
    assert all(len(_population(100).residents[place]) for place in range(len(COUNTRIES)))
    total = sum(country.weight for country in COUNTRIES)
    for country, homes in zip(COUNTRIES, population.residents, strict=True):
        assert abs(len(homes) / 100_000 - country.weight / total) < 0.01
