"""The generator's configuration: what it accepts and how it says no."""

from pathlib import Path

import pytest

from contracts.errors import ConfigError
from generator.config import GeneratorConfig, load_config


def test_load_config_own_file_equals_the_defaults() -> None:
    assert load_config() == GeneratorConfig()


def test_load_config_command_line_goes_before_the_file() -> None:
    config = load_config(seed=7, rate=0)
    assert (config.seed, config.rate_per_second) == (7, 0)


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("accounts: 1000\nfraud: 3\n", 2, "unknown key"),
        ("rate_per_second: 0.01\n", 1, "0.1 to 1000000"),
        ("fraud_percent: 80\n", 1, "less than or equal to 50"),
        ("scenarios:\n  high_value:\n    smallest: 9\n    largest: 8\n", 2, "above largest"),
        ("scenarios:\n  unusual_hour:\n    start_hour: 1\n    end_hour: 12\n", 2, "1 to 6 hours"),
        ("scenarios:\n  impossible_travel:\n    shortest_minutes: 50\n", 2, "above longest_minutes"),
        ("scenarios:\n  account_takeover:\n    transactions: 50\n    growth_percent: 300\n", 2, "last amount"),
        ("disturbances:\n  bursts:\n    every_seconds: 5\n    seconds: 9\n", 2, "below every_seconds"),
        ("disturbances:\n  pauses:\n    every_seconds: 5\n    seconds: 5\n", 2, "below every_seconds"),
    ],
)
def test_load_config_wrong_value_names_line_and_reason(tmp_path: Path, text: str, line: int, part: str) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=part) as caught:
        load_config(path)
    assert caught.value.line == line


def test_load_config_fraud_without_any_weight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    scenarios = "".join(f"  {name}: {{weight: 0}}\n" for name in GeneratorConfig().scenarios.model_dump())
    path.write_text(f"scenarios:\n{scenarios}")
    with pytest.raises(ConfigError, match="needs a weight"):
        load_config(path)


def test_load_config_bad_rate_option_names_the_command_line() -> None:
    with pytest.raises(ConfigError, match=r"command line: rate_per_second: .*0\.05"):
        load_config(rate=0.05)


@pytest.mark.parametrize(
    ("rate", "expected"), [(10, 2000), (1000, 65_000), (10_000, 300_000), (0, 3_000_000), (1_000_000, 3_000_000)]
)
def test_pool_size_high_rate_has_more_accounts(rate: float, expected: int) -> None:
    assert GeneratorConfig(rate_per_second=rate).pool_size == expected
