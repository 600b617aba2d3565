"""What the tests here share: a lake with the empty tables, and `pipeline` with a state folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_line import Call, pipeline_command
from tests.lake_tables import Lake, lake_in


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with lake_in(tmp_path / "state") as lake:
        yield lake


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that is not there yet, with a blank in its path. Jars cannot be had: no `up` gets far."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        monkeypatch.delenv(name)
    state = tmp_path.resolve() / "my state"
    monkeypatch.setenv("PIPELINE_STATE", str(state))
    (tmp_path / "no-folder").touch()
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "no-folder" / "jars"))
    return state


@pytest.fixture
def call(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs `pipeline` with these arguments in this process."""
    with pipeline_command(monkeypatch, capsys) as call:
        yield call
