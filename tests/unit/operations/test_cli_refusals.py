"""What `pipeline` refuses before anything starts: broken configuration, a folder that is not its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.paths import PROJECT
from tests.command_line import Call
from tests.config_copies import copy_of_config, replaced


@pytest.mark.parametrize("command", ["up", "down", "status", "reset"])
def test_broken_pipeline_file_exits_with_4_and_names_file_line_and_path(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    config = copy_of_config(tmp_path)
    line = replaced(config / "pipeline.yaml", "port: 9092", "port: many")
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    answer = call(command)
    assert answer.code == 4
    assert f"{config / 'pipeline.yaml'}:{line}: kafka.port" in answer.err


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("alerting-rules.yaml", "count: 5", "count: five"),
        ("generator.yaml", "fraud_percent: 2.0", "fraud_percent: 200"),
        ("quality.yaml", "pass_rate: 0.999", "pass_rate: most"),
        ("dagster.yaml", "telemetry:", "telemetry: ["),
    ],
)
def test_up_broken_file_of_one_part_exits_with_4_before_anything_starts(
    call: Call, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str
) -> None:
    config = copy_of_config(tmp_path)
    replaced(config / file, old, new)
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    answer = call("up", "--detach")
    assert answer.code == 4
    assert f"{config / file}:" in answer.err
    assert not state.exists()


def test_up_broken_contract_exits_with_4(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = copy_of_config(tmp_path)
    (config / "contracts" / "transaction.schema.json").write_text("{")
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    # A process of its own: this one has read the contracts already.
    command = [sys.executable, "-m", "operations.cli", "up", "--detach"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 4
    assert "transaction.schema.json" in answer.stderr
    assert not state.exists()


@pytest.mark.parametrize("name", ["a,b", "a:b", "100%", "it's"])
def test_up_state_folder_that_some_part_cannot_use_exits_with_4(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(tmp_path / name))
    answer = call("up", "--detach")
    assert answer.code == 4
    assert "PIPELINE_STATE" in answer.err


def test_up_folder_with_other_files_is_refused_since_reset_would_remove_them(call: Call, state: Path) -> None:
    state.mkdir()
    (state / "thesis.txt").touch()
    answer = call("up", "--detach")
    assert answer.code == 4
    assert "holds other files" in answer.err
    assert [path.name for path in state.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("arguments", [["fetch"], ["up"], ["up", "--detach"]])
def test_cache_of_jars_that_cannot_be_written_exits_with_5(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert answer.code == 5
    assert "PIPELINE_CACHE=<folder>" in answer.err
