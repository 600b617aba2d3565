from pathlib import Path

import pytest

from contracts.addresses import Addresses
from contracts.settings import Settings
from operations.rules.switch import Switch
from tests.rule_switch import Flink


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


@pytest.fixture
def addresses(settings: Settings) -> Addresses:
    return Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=2, dagster_port=3)


@pytest.fixture
def flink() -> Flink:
    return Flink()


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The offsets of Kafka's consumer group."""
    offsets: dict[int, int] = {}
    monkeypatch.setattr("operations.rules.switch.committed_offsets", lambda kafka, group, topic: offsets)
    return offsets


@pytest.fixture
def switch(settings: Settings, addresses: Addresses, flink: Flink) -> Switch:
    return Switch(addresses, settings, flink.client())
