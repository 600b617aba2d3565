"""Settings are read from the environment: each test starts without the pipeline's variables."""

import os
from pathlib import Path

import pytest

from contracts import schema
from tests.config_copies import copy_of_config


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("PIPELINE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration, which the code takes for the project's. Contracts are read anew."""
    folder = copy_of_config(tmp_path)
    monkeypatch.setenv("PIPELINE_CONFIG", str(folder))
    monkeypatch.setattr(schema, "load_contract", schema.load_contract.__wrapped__)
    return folder
