"""Ports are chosen before anything starts, and a taken one is named with its holder and its remedy."""

import os
import socket
from collections.abc import Iterator
from dataclasses import astuple

import psutil
import pytest

from contracts.errors import PortTaken
from contracts.settings import Dagster, Flink, Kafka, Settings
from operations import ports as ports_module
from operations.ports import Ports, choose_ports, configured_ports

FREE = Settings(
    kafka=Kafka(port=0, controller_port=0), flink=Flink(rest_port=0, rpc_port=0), dagster=Dagster(port=0, code_port=0)
)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this very process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_choose_ports_zero_gives_distinct_free_ones() -> None:
    ports = astuple(choose_ports(FREE))
    assert len(set(ports)) == 6
    for port in ports:
        assert port < 32_768, "an outgoing connection could take it before its server does"
        socket.create_server(("127.0.0.1", port)).close()


def test_choose_ports_among_few_free_ones_never_gives_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka and Flink were once given the same one: of 12,000, six drawn by chance collide once in 800 starts."""
    monkeypatch.setattr(ports_module, "_FREE", range(31_000, 31_020))
    for _ in range(20):
        assert len(set(astuple(choose_ports(FREE)))) == 6


def test_choose_ports_of_what_runs_elsewhere_is_none(taken: int) -> None:
    elsewhere = FREE.model_copy(
        update={
            "kafka": Kafka(bootstrap_servers="kafka:9092", port=taken),
            "flink": Flink(rest_url="http://flink:8081", rest_port=taken),
        }
    )
    ports = choose_ports(elsewhere)
    assert (ports.kafka, ports.kafka_controller, ports.flink_rest, ports.flink_rpc) == (0, 0, 0, 0)
    assert 0 not in (ports.dagster, ports.dagster_code)


def test_configured_ports_are_taken_as_they_stand(taken: int) -> None:
    settings = Settings(dagster=Dagster(port=taken))
    assert configured_ports(settings) == Ports(taken, 4266, 9092, 9093, 8081, 6123)


def test_choose_ports_configured_ones_are_kept() -> None:
    chosen = choose_ports(FREE)
    settings = FREE.model_copy(update={"kafka": Kafka(port=chosen.kafka, controller_port=chosen.kafka_controller)})
    again = choose_ports(settings)
    assert (again.kafka, again.kafka_controller) == (chosen.kafka, chosen.kafka_controller)


@pytest.mark.parametrize(
    ("section", "purpose", "variable"),
    [
        ({"kafka": {"port": None}}, "Kafka", "PIPELINE_KAFKA__PORT"),
        ({"kafka": {"controller_port": None}}, "Kafka controller", "PIPELINE_KAFKA__CONTROLLER_PORT"),
        ({"flink": {"rest_port": None}}, "Flink web UI", "PIPELINE_FLINK__REST_PORT"),
        ({"flink": {"rpc_port": None}}, "Flink RPC", "PIPELINE_FLINK__RPC_PORT"),
        ({"dagster": {"port": None}}, "Dagster web UI", "PIPELINE_DAGSTER__PORT"),
        ({"dagster": {"code_port": None}}, "Dagster code server", "PIPELINE_DAGSTER__CODE_PORT"),
    ],
)
def test_choose_ports_taken_one_is_named_with_holder_and_variable(
    taken: int, section: dict[str, dict[str, None]], purpose: str, variable: str
) -> None:
    changes = FREE.model_dump()
    for name, ports in section.items():
        changes[name] |= dict.fromkeys(ports, taken)
    with pytest.raises(PortTaken) as refusal:
        choose_ports(Settings(**changes))
    me = psutil.Process()
    assert f"port {taken} ({purpose}) is in use by {me.name()} (pid {os.getpid()})" in str(refusal.value)
    assert f"{variable}=0 pipeline up" in str(refusal.value)


def test_choose_ports_port_just_left_by_a_program_is_free_again(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0] as served:
            served.close()  # who closes first waits in TIME_WAIT
    settings = FREE.model_copy(update={"dagster": Dagster(port=port, code_port=0)})
    assert choose_ports(settings).dagster == port
