"""The Compose file as data: what it promises of memory, access, users, images and agreement with the rest of the code.

That it comes up and survives: tests/integration/test_compose.py, which needs Docker.
"""

import re
from typing import Any

import pytest
import yaml

from contracts import names
from contracts.paths import PROJECT
from contracts.settings import Settings, variables
from operations.containers import COMPONENTS
from operations.embedded.broker import broker_properties

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# What ends by itself, and what a person runs by hand.
PASSING = {"prepare", "pipeline"}
LASTING = {name: service for name, service in SERVICES.items() if name not in PASSING}


def environment() -> dict[str, str]:
    found: dict[str, str] = SERVICES["jobs"]["environment"]
    return found


def test_compose_has_a_service_a_component_and_each_becomes_its_own() -> None:
    assert set(LASTING) == {"postgres", *names.COMPONENTS}
    assert {name: service["command"] for name, service in LASTING.items() if name in COMPONENTS} == {
        name: ["run", name] for name in COMPONENTS
    }


def test_compose_memory_limits_are_4000_mib_in_all() -> None:
    limits = [int(service["mem_limit"].removesuffix("m")) for service in LASTING.values()]
    assert sum(limits) <= 4_000


@pytest.mark.parametrize("name", sorted(LASTING))
def test_compose_service_is_watched_and_started_again(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_compose_every_image_is_pinned_to_a_version() -> None:
    for name, service in SERVICES.items():
        assert re.search(r":\d+\.\d+(\.\d+)?(-\w+)*$", service["image"]), name


def test_compose_own_images_carry_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version
    own = {service["image"] for service in SERVICES.values() if service["image"].startswith("fraud-lakehouse/")}
    assert own == {f"fraud-lakehouse/{target}:{version[1]}" for target in ("flink", "python")}


def test_compose_publishes_ports_on_loopback_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_names_a_password_and_holds_none() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name:
                assert value.startswith("${POSTGRES_PASSWORD:?"), name
    assert ".env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_compose_data_outlives_the_containers() -> None:
    assert set(COMPOSE["volumes"]) == {"kafka", "postgres", "state"}
    assert all("state:/state" in SERVICES[name]["volumes"] for name in COMPONENTS)


def test_compose_settings_are_settings_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: value for name, value in environment().items() if name.startswith("PIPELINE_")}
    assert set(ours) <= set(variables())
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert not settings.supervised
    addresses = settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=settings.dagster.port)
    assert addresses.kafka_bootstrap_servers == "kafka:9092"
    assert addresses.flink_rest == (names.JOBMANAGER, 8081)
    assert addresses.dagster_url == "http://dagster-web:3000"


def test_compose_broker_is_configured_as_the_embedded_one() -> None:
    """All but where it listens, what its parts are called, and where its files are."""
    own = {
        "advertised.listeners", "controller.quorum.voters", "inter.broker.listener.name", "listeners",
        "listener.security.protocol.map", "log.dirs",
    }  # fmt: skip
    variables = SERVICES[names.BROKER]["environment"]
    named = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in variables.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    embedded = broker_properties(port=1, controller_port=2, logs=PROJECT)
    assert {key: value for key, value in named.items() if key not in own} == {
        key: value for key, value in embedded.items() if key not in own
    }


def test_dockerfile_runs_as_a_user_without_rights() -> None:
    targets = (PROJECT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")
    for target in targets:
        if target.startswith("base AS ") and "ENTRYPOINT" in target:
            assert "\nUSER pipeline\n" in target


def test_dockerignore_lets_in_every_package_of_the_wheel() -> None:
    pyproject = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.findall(r'"(\w+)"', pyproject.partition("module-name = ")[2].partition("\n")[0])
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert packages
    assert {f"!{package}" for package in packages} <= set(ignored)
