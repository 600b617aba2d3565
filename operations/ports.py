"""Chooses the ports of a pipeline before anything is started, and names whoever holds one that is taken."""

import random
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import psutil

from contracts.errors import PortTaken
from contracts.settings import Settings

# Where a free port is looked for: below the ports that a system gives to outgoing connections (Linux 32768 and up), one
# of which could take a port between its choice here and the start of its server.
_FREE = range(20_000, 32_000)


@dataclass(frozen=True)
class Ports:
    """The TCP ports of one pipeline; 0 for what is of a component that runs elsewhere."""

    dagster: int
    dagster_code: int
    kafka: int = 0
    kafka_controller: int = 0
    flink_rest: int = 0
    flink_rpc: int = 0


def choose_ports(settings: Settings) -> Ports:
    """The configured ports, with free ones in place of 0. Raises PortTaken for the first that is in use."""
    # All are held until all are chosen, so that no two get the same free one.
    with ExitStack() as held:
        return Ports(**{name: _hold(held, *wish, host=settings.listen) for name, wish in _wishes(settings).items()})


def configured_ports(settings: Settings) -> Ports:
    """The ports as configured, without a look at who has them: for servers that have a machine to themselves."""
    return Ports(**{name: port for name, (port, _, _) in _wishes(settings).items()})


def taken_ports(settings: Settings) -> tuple[PortTaken, ...]:
    """For each configured port that is in use, what choosing it would raise."""
    taken = []
    for wish in _wishes(settings).values():
        try:
            with ExitStack() as held:
                _hold(held, *wish, host=settings.listen)
        except PortTaken as error:
            taken.append(error)
    return tuple(taken)


def _wishes(settings: Settings) -> dict[str, tuple[int, str, str]]:
    """By port: the one configured, what it is for, and the variable that chooses it."""
    kafka = {
        "kafka": (settings.kafka.port, "Kafka", "PIPELINE_KAFKA__PORT"),
        "kafka_controller": (settings.kafka.controller_port, "Kafka controller", "PIPELINE_KAFKA__CONTROLLER_PORT"),
    }
    flink = {
        "flink_rest": (settings.flink.rest_port, "Flink web UI", "PIPELINE_FLINK__REST_PORT"),
        "flink_rpc": (settings.flink.rpc_port, "Flink RPC", "PIPELINE_FLINK__RPC_PORT"),
    }
    return {
        **(kafka if not settings.kafka.bootstrap_servers else {}),
        **(flink if not settings.flink.rest_url else {}),
        "dagster": (settings.dagster.port, "Dagster web UI", "PIPELINE_DAGSTER__PORT"),
        "dagster_code": (settings.dagster.code_port, "Dagster code server", "PIPELINE_DAGSTER__CODE_PORT"),
    }


def free_ports(count: int) -> tuple[int, ...]:
    """So many ports that nothing listens on, for servers that are no part of a pipeline."""
    with ExitStack() as held:
        return tuple(_hold(held, 0, "", "") for _ in range(count))


def _hold(held: ExitStack, port: int, purpose: str, variable: str, *, host: str = "127.0.0.1") -> int:
    """`port`, or a free one for 0, held until `held` closes."""
    for wish in (port,) if port else random.sample(_FREE, len(_FREE)):
        with suppress(OSError), ExitStack() as attempt:
            listener = attempt.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # A port that a program has just left waits a minute in TIME_WAIT; every server here may use it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, wish))
            # Two such sockets can be bound to one port, and only one of them can listen.
            listener.listen(1)
            held.enter_context(attempt.pop_all())
            return wish
    raise PortTaken(port=port, purpose=purpose, variable=variable, holder=_holder(port))


def _holder(port: int) -> str | None:
    """Who listens on `port`, as far as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if (
            connection.laddr
            and connection.laddr.port == port
            and connection.status == psutil.CONN_LISTEN
            and connection.pid
        ):
            try:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.NoSuchProcess:
                return None
    return None
