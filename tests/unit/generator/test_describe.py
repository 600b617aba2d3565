"""`python -m generator describe`: sound draws hold, each wrong one is reported, and the plots and figures come out.

A draw is made wrong by changing a table after the comparisons have read it, or by comparing with another configuration.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from generator import population as population_module
from generator import seasons, spending
from generator.__main__ import app
from generator.config import GeneratorConfig
from generator.describe import command, judging
from generator.describe.drawing import DAY_MS, Drawn, draw
from generator.describe.hours import compare_hours
from generator.describe.mishaps import compare_mishaps
from generator.describe.plots import write_plots
from generator.describe.report import compare
from generator.disturbances import Delays
from generator.durations import utc_ms
from generator.encoding import Encoder
from generator.places import SHARES
from generator.population import Shard
from generator.seasons import PROFILES
from generator.spending import Deck
from generator.timeline import Simulated
from generator.traffic import Traffic

START_MS = utc_ms("2026-11-04T00:00:00Z")
# Few records a second, so that a day and its hours are seen with few records.
SLOW = GeneratorConfig(rate_per_second=0.5)


@pytest.fixture(scope="module")
def day() -> Drawn:
    return draw(SLOW, seed=1, start_ms=START_MS)


def deviating(drawn: Drawn, config: GeneratorConfig = SLOW) -> set[str]:
    """The names of the comparisons that do not hold."""
    return {comparison.name for comparison in compare(drawn, config).comparisons if not comparison.holds}


def changed(**sections: object) -> GeneratorConfig:
    """SLOW with some values of its disturbances or its own replaced."""
    return GeneratorConfig.model_validate({**SLOW.model_dump(), **sections})


def late(**values: object) -> GeneratorConfig:
    disturbances = SLOW.disturbances.model_dump()
    return changed(disturbances={**disturbances, "late": {**disturbances["late"], **values}})


def test_compare_simulated_day_has_the_configured_shape_within_the_stated_error(day: Drawn) -> None:
    assert day.end_ms - day.start_ms == DAY_MS
    report = compare(day, SLOW)
    assert deviating(day) == set()
    assert report.holds
    assert len({comparison.name for comparison in report.comparisons}) == len(report.comparisons) <= judging.MOST_TESTS


def test_compare_many_seeds_hold_and_their_p_values_are_not_too_small() -> None:
    # Of sound draws a tenth has a p-value below 0.1 at most; 8 runs of some 35 tests.
    found = [
        comparison
        for seed in range(8)
        for comparison in compare(draw(SLOW, seed=seed, start_ms=START_MS, records=5_000), SLOW).comparisons
    ]
    p_values = np.array([comparison.p_value for comparison in found if comparison.p_value is not None])
    assert all(comparison.holds for comparison in found)
    assert np.mean(p_values < 0.1) < 0.13


def test_compare_with_duplicates_bursts_and_pauses_holds() -> None:
    disturbances = {
        **SLOW.disturbances.model_dump(),
        "duplicate_percent": 2,
        "bursts": {"every_seconds": 1000, "seconds": 100, "factor": 5},
        "pauses": {"every_seconds": 700, "seconds": 100},
    }
    # At a lower rate batches are small, and duplicates, which stay within one, are far fewer than configured.
    config = changed(rate_per_second=10, disturbances=disturbances)
    # Bursts are meant to look like bursts.
    drawn = draw(config, seed=3, start_ms=START_MS, records=30_000)
    assert deviating(drawn, config) <= {"records after 5 others of the account in 60 s"}


def test_draw_two_runs_with_one_seed_are_byte_identical() -> None:
    def run(seed: int) -> list[bytes | None]:
        traffic = Traffic(SLOW, seed=seed)
        timeline = Simulated.of(SLOW, seed=seed, shard=Shard(), start_ms=START_MS, end_ms=START_MS + DAY_MS // 16)
        encoder = Encoder(traffic.population.merchants)
        values: list[bytes | None] = []
        while len(batch := traffic.batch(timeline.plan(500))):
            batch.stamp(0, len(batch), None)
            values += encoder.encode(batch, 0, len(batch))
        return values

    first = run(7)
    assert len(first) > 1_500
    assert first == run(7)
    assert first != run(8)


def test_draw_limited_to_records_is_the_beginning_of_the_day(day: Drawn) -> None:
    drawn = draw(SLOW, seed=1, start_ms=START_MS, records=1_500)
    assert len(drawn) == 1_500
    assert drawn.end_ms == drawn.planned_ms[-1]
    np.testing.assert_array_equal(drawn.account, day.account[:1_500])


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (changed(rate_per_second=0.55), "records"),
        (changed(fraud_percent=3), "incidents, of all records"),
        (changed(fraud_percent=0), "fraudulent records"),
        (changed(scenarios={"high_value": {"weight": 3}}), "fraud mix, by records"),
        (changed(scenarios={"velocity_burst": {"transactions": 7}}), "incidents of another size than their scenario's"),
        (changed(disturbances={"malformed_percent": 1.5}), "malformed records"),
        (changed(disturbances={"malformed_percent": 0}), "malformed records"),
        (changed(disturbances={"duplicate_percent": 1}), "duplicates"),
        (changed(disturbances={"clock_skew": {"merchant_percent": 9}}), "merchants with a wrong clock"),
        (changed(disturbances={"clock_skew": {"longest_ms": 50}}), "furthest clock, ms"),
        (late(percent=1.6), "late records"),
        (late(median_seconds=6), "delays, s"),
        (late(sigma=1.4), "delays, s"),
        (late(longest_seconds=8), "longest delay, ms"),
    ],
)
def test_compare_drawn_by_another_configuration_is_reported(day: Drawn, config: GeneratorConfig, name: str) -> None:
    compared = [*compare_hours(day, config), *compare_mishaps(day, config)]
    assert name in {comparison.name for comparison in compared if not comparison.holds}


def _flat_day(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seasons, "world_level", lambda time_ms: 0.5)


def _other_sigma(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_SIGMA", spending._SIGMA * 1.15)


def _other_median(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_LOG_MEDIAN", spending._LOG_MEDIAN + 0.1)


def _other_income(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_SPENDING_PERCENT", spending._SPENDING_PERCENT * 12 // 10)


def _other_ranks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_RANKS", np.repeat(np.arange(5, dtype=np.uint8), (84, 72, 46, 30, 24)))


def _never_closed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_OPENS", np.zeros_like(spending._OPENS))


def _nobody_online(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "_SELLS_ONLINE", np.zeros_like(spending._SELLS_ONLINE))


def _many_refunds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "REFUND_SHARE", 0.02)


def _flat_activity(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(population_module, "activity_shares", lambda busiest: np.full(busiest, 1 / busiest))


def _other_shares(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(population_module, "SHARES", SHARES[::-1])


def _other_incomes(patch: pytest.MonkeyPatch) -> None:
    incomes = population_module.INCOMES
    shares = [0.1, 0.68, 0.18, 0.04]
    patch.setattr(
        population_module,
        "INCOMES",
        [replace(income, share=share) for income, share in zip(incomes, shares, strict=True)],
    )


def _other_profiles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(population_module, "PROFILES", [replace(profile, share=0.2) for profile in PROFILES])


def _other_kinds(patch: pytest.MonkeyPatch) -> None:
    kinds = population_module.KINDS
    patch.setattr(population_module, "KINDS", tuple(replace(kind, weight=1) for kind in kinds))


def _always_willing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(spending, "willingness", lambda times, place, profile: np.full(place.shape, 0.5))


def _random_turns(patch: pytest.MonkeyPatch) -> None:
    def take(deck: Deck, count: int) -> NDArray[np.uint32]:
        return deck._accounts[deck._rng.integers(40, size=count)]

    patch.setattr(Deck, "_take", take)


def _fewer_ways(patch: pytest.MonkeyPatch) -> None:
    made = Traffic.__init__

    def init(traffic: Traffic, config: GeneratorConfig, *, seed: int) -> None:
        made(traffic, config, seed=seed)
        traffic._ways = traffic._ways[:10]

    patch.setattr(Traffic, "__init__", init)


def _even_delays(patch: pytest.MonkeyPatch) -> None:
    drawn = Delays.draw

    def even(delays: Delays, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return np.where(drawn(delays, count, rng) > 0, 4_000, 0)

    patch.setattr(Delays, "draw", even)


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (_flat_day, {"records by hour of the day (UTC)"}),
        (_other_sigma, {"amounts: sigmas of all kinds", "amounts of 5411 (Market), USD"}),
        (_other_median, {"amounts: medians of all kinds", "amounts of 5411 (Market), USD"}),
        (_other_income, {"amounts: medians of all kinds"}),
        (_other_ranks, {"visits by rank of the favourite"}),
        (_never_closed, {"purchases in person at closed shops"}),
        (_nobody_online, {"purchases online", "visits by kind, given the favourites"}),
        (_many_refunds, {"refunds"}),
        (_flat_activity, {"accounts by activity"}),
        (_other_shares, {"accounts by country"}),
        (_other_incomes, {"accounts by income"}),
        (_other_profiles, {"accounts by day profile"}),
        (_other_kinds, {"favourite merchants by kind"}),
        (_always_willing, {"records by day profile and hour (local)", "records by country"}),
        (_random_turns, {"records by account", "records after 5 others of the account in 60 s"}),
        (_fewer_ways, {"malformed records by way"}),
        (_even_delays, {"delays, s"}),
    ],
)
def test_compare_spoiled_draws_are_reported(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[pytest.MonkeyPatch], None], names: set[str]
) -> None:
    with monkeypatch.context() as patch:
        spoil(patch)
        drawn = draw(SLOW, seed=1, start_ms=START_MS, records=20_000)
    assert names <= deviating(drawn)


def test_chi_square_small_cells_are_pooled() -> None:
    judged = judging.chi_square(np.array([50, 48, 1, 0, 1]), np.array([0.49, 0.49, 0.01, 0.005, 0.005]))
    assert judged.p_value > 0.5
    assert judging.chi_square(np.array([5, 1]), np.array([1.0, 0.0])).p_value == 0


def test_mixed_chi_square_equal_chances_is_pearsons() -> None:
    chances = np.array([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    observed = np.array([230, 280, 490])
    mixed = judging.mixed_chi_square(observed, chances, np.array([400, 600]))
    pearson = judging.chi_square(observed, chances[0])
    assert mixed.p_value == pytest.approx(pearson.p_value)


def test_write_plots_of_a_day_are_pngs(day: Drawn, tmp_path: Path) -> None:
    paths = write_plots(day, SLOW, tmp_path / "plots")
    assert [path.name for path in paths] == ["traffic.png", "amounts.png", "activity.png", "fraud-and-delays.png"]
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert content.endswith(b"IEND\xaeB`\x82")
        assert len(content) > 10_000


def test_describe_command_prints_json_and_ends_with_0_where_all_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "write_plots", lambda drawn, config, folder: ())
    options = ["describe", "--seed", "2", "--records", "3000", "--output", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["holds"]
    assert report["records"] == 3000
    assert {"name", "configured", "drawn", "statistic", "p_value", "size", "tolerance", "verdict"} <= set(
        report["comparisons"][0]
    )


def test_describe_command_ends_with_1_where_a_comparison_deviates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _many_refunds(monkeypatch)
    monkeypatch.setattr(command, "write_plots", lambda drawn, config, folder: ())
    result = CliRunner().invoke(app, ["describe", "--records", "20000", "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "deviates" in result.stdout


@pytest.mark.parametrize("options", [["--start", "yesterday"], ["--config", "missing.yaml"]])
def test_describe_command_wrong_option_ends_with_4(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["describe", "--records", "100", "--output", str(tmp_path), *options])
    assert result.exit_code == 4


def test_describe_command_too_few_records_to_compare_are_refused() -> None:
    result = CliRunner().invoke(app, ["describe", "--records", "1"])
    assert result.exit_code == 2


def test_describe_command_unwritable_output_ends_with_5(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["describe", "--records", "1000", "--output", str(tmp_path / "file")])
    assert result.exit_code == 5


def test_main_module_loads_neither_scipy_nor_matplotlib() -> None:
    program = "import sys, generator.__main__; sys.exit(any(name in sys.modules for name in ('scipy', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
