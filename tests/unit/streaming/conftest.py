"""What the stream's tests share: fixed addresses, and a copy of the configuration to change."""

from pathlib import Path

import pytest

from contracts.addresses import Addresses
from contracts.paths import StatePaths
from tests.config_copies import copy_of_config


@pytest.fixture
def paths() -> StatePaths:
    return StatePaths(Path("/state"))


@pytest.fixture
def addresses(paths: StatePaths) -> Addresses:
    return Addresses.local(state=paths, kafka_port=9092, flink_rest_port=8081, dagster_port=3000)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return copy_of_config(tmp_path)
