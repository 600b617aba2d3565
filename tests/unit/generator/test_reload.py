"""Edits of the configuration of a running generator."""

import time
from pathlib import Path

from structlog.testing import capture_logs

from generator.config import GeneratorConfig, load_config
from generator.reload import ConfigWatch


def _watch(path: Path) -> ConfigWatch:
    return ConfigWatch(path, lambda: load_config(path, rate=20))


def _await(watch: ConfigWatch) -> GeneratorConfig:
    deadline = time.monotonic() + 20
    while (config := watch.take()) is None:
        assert time.monotonic() < deadline, "the edit was not seen"
        time.sleep(0.05)
    return config


def test_config_watch_good_edit_is_taken_over_once_under_the_command_lines_options(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    with _watch(path) as watch:
        path.write_text("fraud_percent: 7\nrate_per_second: 99\n")
        config = _await(watch)
        assert (config.fraud_percent, config.rate_per_second) == (7, 20)
        assert watch.take() is None


def test_config_watch_file_replaced_as_editors_do_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    with _watch(path) as watch:
        (tmp_path / "other.yaml").write_text("fraud_percent: 8\n")
        (tmp_path / "other.yaml").replace(path)
        assert _await(watch).fraud_percent == 8


def test_look_broken_edit_is_refused_with_its_line_and_the_old_stays(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    watch = _watch(path)
    path.write_text("seed: 1\nfraud_percent: 800\n")
    with capture_logs() as logs:
        watch.look()
    assert watch.take() is None
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("config_refused", "error")
    assert f"{path}:2: fraud_percent" in line["reason"]
    assert watch.refused == line["reason"]
    path.write_text("fraud_percent: 1\n")
    watch.look()
    assert watch.refused == ""


def test_look_says_what_changed_and_what_waits_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    watch = _watch(path)
    path.write_text("fraud_percent: 2\naccounts: 5000\n")
    with capture_logs() as logs:
        watch.look()
        watch.look()
    assert [(line["event"], line["changed"], line["at_next_start"]) for line in logs] == [
        ("config_changed", ["accounts", "fraud_percent"], ["accounts"])
    ]


def test_look_clocks_of_merchants_wait_for_the_next_start_too(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    watch = _watch(path)
    path.write_text("disturbances:\n  malformed_percent: 3\n  clock_skew: {longest_ms: 9}\n")
    with capture_logs() as logs:
        watch.look()
    assert logs[0]["at_next_start"] == ["disturbances.clock_skew"]


def test_config_watch_edit_before_the_watch_began_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    watch = _watch(path)
    path.write_text("fraud_percent: 9\n")
    with watch:
        assert _await(watch).fraud_percent == 9


def test_look_file_that_is_gone_is_refused_and_the_old_stays(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text("fraud_percent: 1\n")
    watch = _watch(path)
    path.unlink()
    with capture_logs() as logs:
        watch.look()
    assert [line["event"] for line in logs] == ["config_refused"]
    assert watch.current.fraud_percent == 1
