"""Addresses travel through the environment and the state folder unchanged."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.paths import StatePaths


@pytest.fixture
def addresses(tmp_path: Path) -> Addresses:
    return Addresses.local(state=StatePaths(tmp_path / "state"), kafka_port=1, flink_rest_port=2, dagster_port=3)


def test_to_environment_names_what_clients_expect(addresses: Addresses, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert addresses.to_environment() == {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        "FLINK_REST_URL": "http://127.0.0.1:2",
        "DAGSTER_URL": "http://127.0.0.1:3",
        "ICEBERG_CATALOG_URI": f"sqlite:///{state}/lake/catalog.db?timeout=30",
        "ICEBERG_CATALOG_NAME": "lake",
        "ICEBERG_WAREHOUSE": f"file://{state}/lake/warehouse",
        "PIPELINE_STATE": str(state),
    }


def test_from_environment_of_to_environment_is_the_same(addresses: Addresses) -> None:
    assert Addresses.from_environment({**addresses.to_environment(), "OTHER": "x"}) == addresses


def test_from_environment_default_is_the_process_environment(
    addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in addresses.to_environment().items():
        monkeypatch.setenv(name, value)
    assert Addresses.from_environment() == addresses


@pytest.mark.parametrize("value", [None, ""])
def test_from_environment_missing_variable_is_named_with_the_remedy(addresses: Addresses, value: str | None) -> None:
    environment = addresses.to_environment()
    del environment["FLINK_REST_URL"]
    with pytest.raises(NotRunning, match=r"FLINK_REST_URL is not set.*pipeline up"):
        Addresses.from_environment(environment if value is None else {**environment, "FLINK_REST_URL": value})


def test_from_environment_of_brokers_with_a_login_is_the_same(addresses: Addresses) -> None:
    login = replace(addresses, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="PLAIN", kafka_username="me")
    assert Addresses.from_environment(login.to_environment()) == login


def test_read_of_write_is_the_same(addresses: Addresses, tmp_path: Path) -> None:
    addresses.write()
    addresses.write()
    assert Addresses.read(tmp_path / "state") == addresses
    assert [path.name for path in StatePaths(tmp_path / "state").run.iterdir()] == ["addresses.json"]


def test_read_state_folder_that_was_never_used_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="pipeline up"):
        Addresses.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "12", "{}", '{"kafka_bootstrap_servers": "x"}', '{"other": "x"}'])
def test_read_file_of_another_version_says_what_to_do(addresses: Addresses, tmp_path: Path, text: str) -> None:
    addresses.write()
    StatePaths(tmp_path / "state").addresses.write_text(text)
    with pytest.raises(NotRunning, match=r"addresses.json.*pipeline up"):
        Addresses.read(tmp_path / "state")
