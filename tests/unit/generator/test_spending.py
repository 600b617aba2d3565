"""Ordinary spending: who is there, whose turn it is, where and for how much."""

from datetime import timedelta

import numpy as np
import pytest

from generator.places import COUNTRIES, SHARES, local_hours
from generator.population import FAVOURITES, INCOMES, KINDS, Population, Shard, activity_shares, build_population
from generator.seasons import PROFILES
from generator.spending import ATM, LARGEST_CENTS, ONLINE, POS, PURCHASE, REFUND, TRANSFER, WITHDRAWAL, Deck, spend
from tests.generated import NOON, at_ms


def _population(accounts: int = 1000, *, busiest: int = 1, merchants: int = 40) -> Population:
    return build_population(
        np.random.default_rng(1), accounts=accounts, merchants_per_country=merchants, busiest=busiest
    )


def _times(count: int, *, hours: int = 24) -> np.ndarray:
    return at_ms(NOON) + np.arange(count, dtype=np.int64) * hours * 3_600_000 // max(count, 1)


def test_build_population_shares_are_as_configured_and_every_country_has_accounts() -> None:
    population = _population(100_000, busiest=6)
    assert all(len(_population(100).residents[place]) for place in range(len(COUNTRIES)))
    for drawn, shares in (
        (population.country, SHARES),
        (population.income, [income.share for income in INCOMES]),
        (population.profile, [profile.share for profile in PROFILES]),
        (population.activity - 1, activity_shares(6)),
    ):
        assert np.bincount(drawn) / 100_000 == pytest.approx(shares, abs=0.006)


def test_build_population_favourites_are_merchants_of_the_accounts_country() -> None:
    population = _population()
    places = population.merchants.place(population.favourites)
    assert places.shape == (1000, FAVOURITES)
    assert (places == population.country[:, np.newaxis]).all()


def test_build_population_merchants_are_named_in_the_language_of_their_country() -> None:
    names = _population().merchants.names
    japanese = [names[i] for i in range(len(names)) if COUNTRIES[i // 40].code == "JP"]
    assert len(japanese) == 40
    assert not any(name.isascii() for name in japanese)
    assert all(0 < len(name) <= 100 for name in names)
    assert len(set(names)) > 500


def test_build_population_residents_of_a_shard_are_its_part_of_the_accounts() -> None:
    parts = [
        build_population(np.random.default_rng(1), accounts=500, merchants_per_country=13, shard=Shard(number, 2))
        for number in range(2)
    ]
    residents = [set(np.concatenate(part.residents).tolist()) for part in parts]
    assert residents[0] | residents[1] == set(range(500))
    assert not residents[0] & residents[1]


def test_deck_everybody_awake_is_dealt_once_before_any_twice() -> None:
    population = _population()
    # Whose day is the evening is awake at noon in Europe; nobody is excluded for long over a whole day.
    deck = Deck(population, np.random.default_rng(2))
    hand = deck._take(1000)
    assert sorted(hand) == list(range(1000))
    assert list(hand) != list(range(1000))
    assert sorted(deck._take(1000)) == list(range(1000))


def test_deck_busy_accounts_have_more_cards_at_a_distance() -> None:
    population = _population(busiest=5)
    cards = Deck(population, np.random.default_rng(2))._take(int(population.activity.sum()))
    assert (np.bincount(cards) == population.activity).all()
    account = int(np.flatnonzero(population.activity == 5)[0])
    places = np.flatnonzero(cards == account) / len(cards)
    assert np.diff(places).min() > 0.09


def test_deck_deals_only_to_who_is_willing_at_that_hour() -> None:
    population = _population()
    times = _times(20_000)
    accounts = Deck(population, np.random.default_rng(2)).deal(times)
    hours = np.concatenate(
        [local_hours(times[i : i + 10], population.country[accounts[i : i + 10]]) for i in range(0, len(times), 10)]
    )
    for number, profile in enumerate(PROFILES):
        dealt = np.bincount(hours[population.profile[accounts] == number], minlength=24)
        never = [hour for hour in range(24) if profile.by_hour[hour] == "0"]
        assert not dealt[never].any(), profile.name


def test_spend_amounts_have_each_kinds_median_in_the_middle_class_and_a_bound() -> None:
    population = _population(merchants=130)
    accounts = np.random.default_rng(3).integers(1000, size=200_000)
    spending = spend(population, accounts, _times(200_000, hours=0), np.random.default_rng(4))
    kinds = population.merchants.kind[spending.merchant]
    middle = population.income[accounts] == 1
    for number, kind in enumerate(KINDS):
        # Price levels are spread evenly from 70 to 150 %: the median lies near 110 %.
        ratio = np.median(spending.us_cents[middle & (kinds == number)]) / kind.median_cents
        assert 0.9 < ratio < 1.3, (kind, ratio)
    assert spending.us_cents.max() <= LARGEST_CENTS
    assert spending.us_cents.min() > 0


def test_spend_the_wealthy_pay_more() -> None:
    population = _population()
    accounts = np.arange(1000).repeat(100)
    spending = spend(population, accounts, _times(100_000, hours=0), np.random.default_rng(5))
    typical = [np.median(spending.us_cents[population.income[accounts] == income]) for income in range(len(INCOMES))]
    assert typical == sorted(typical)
    assert typical[-1] > 4 * typical[0]


def test_spend_nobody_is_served_in_person_where_it_is_closed() -> None:
    population = _population()
    accounts = np.arange(1000).repeat(2)
    for hour in range(24):
        times = np.full(2000, at_ms(NOON + timedelta(hours=hour)), dtype=np.int64)
        spending = spend(population, accounts, times, np.random.default_rng(hour))
        kinds = population.merchants.kind[spending.merchant]
        local = local_hours(times, population.country[accounts])
        for kind, at, channel in zip(kinds.tolist(), local.tolist(), spending.channel.tolist(), strict=True):
            opens, closes = KINDS[kind].hours
            assert channel == ONLINE or opens <= at < closes
        assert (population.merchants.place(spending.merchant) == population.country[accounts]).all()


def test_spend_cash_comes_from_machines_and_transfers_go_online() -> None:
    accounts = np.arange(1000).repeat(20)
    spending = spend(_population(), accounts, _times(20_000, hours=0), np.random.default_rng(6))
    pairs = set(zip(spending.transaction_type.tolist(), spending.channel.tolist(), strict=True))
    assert {channel for kind, channel in pairs if kind == WITHDRAWAL} == {ATM}
    assert {channel for kind, channel in pairs if kind == TRANSFER} == {ONLINE}
    assert {channel for kind, channel in pairs if kind == PURCHASE} == {POS, ONLINE}
    refunds = np.count_nonzero(spending.transaction_type == REFUND)
    assert refunds / len(accounts) == pytest.approx(0.009, abs=0.003)


@pytest.mark.timeout(20)
def test_deck_of_few_accounts_that_all_sleep_is_dealt_all_the_same() -> None:
    population = _population(100)
    sleeping = population.country == [country.code for country in COUNTRIES].index("PF")
    day = population.profile != [profile.name for profile in PROFILES].index("night")
    account = int(np.flatnonzero(sleeping & day)[0])
    deck = Deck(population, np.random.default_rng(2), Shard(account, len(population)))
    night = np.full(5, at_ms(NOON), dtype=np.int64)  # 02:00 in Tahiti
    assert deck.deal(night).tolist() == [account] * 5
