"""What a container runs: one component in the foreground, in the environment that `pipeline up` would give it.

Whatever runs the containers (Compose, Kubernetes) watches over them and starts them again; here is only what they are.
`prepare` goes first, once: it makes the tables and writes what the components share in the state folder.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ConfigError, NotRunning
from contracts.rest import rest_client
from contracts.sessions import new_session
from contracts.settings import Settings
from operations.embedded.stack import Stack
from operations.ports import configured_ports
from operations.preflight import check_configuration
from operations.rules.switch import want_what_is_configured
from operations.table_files import refuse_damage

# All but the brokers, which have an image of their own.
COMPONENTS = tuple(name for name in names.COMPONENTS if name != names.BROKER)
# What needs Flink's distribution, the jars and Java; the image of the others has none of them.
_OF_FLINK = (names.JOBMANAGER, *names.TASKMANAGERS.values(), names.JOB_KEEPER)


def prepare(settings: Settings) -> str:
    """Makes the tables and databases, writes every configuration and begins a session, whose id it returns.

    Where the JobManager or the web server answers, the pipeline runs, and nothing is changed. Raises ConfigError,
    TableDamaged, ComponentFailed.
    """
    _refuse_supervised(settings)
    session_file = settings.paths.session
    if session_file.exists() and _runs(Addresses.read(settings.paths.root)):
        return session_file.read_text(encoding="ascii")
    check_configuration(settings, generator=True)
    refuse_damage(settings)
    session = new_session(datetime.now(UTC))
    stack = _stack(settings, session)
    stack.prepare()
    stack.addresses.write()
    want_what_is_configured(settings, stack.addresses)
    session_file.write_text(session, encoding="ascii")
    return session


def become(settings: Settings, component: str) -> None:
    """Turns this process into `component`, and never returns. Raises ConfigError, NotRunning before `prepare`."""
    _refuse_supervised(settings)
    if component not in COMPONENTS:
        raise ConfigError("pipeline run", f"no such component: {component}; there are {', '.join(COMPONENTS)}")
    try:
        session = settings.paths.session.read_text(encoding="ascii")
    except FileNotFoundError:
        raise NotRunning(f"nothing was prepared in {settings.paths.root}. First: pipeline prepare") from None
    stack = _stack(settings, session)
    of_flink = component in _OF_FLINK
    programs = {program.name: program for program in (*(stack.flink() if of_flink else ()), *stack.programs())}
    command = programs[component].command
    os.execvpe(command[0], command, stack.environment(flink=of_flink))


def _stack(settings: Settings, session: str) -> Stack:
    return Stack(settings, configured_ports(settings), session, generator=True)


def _runs(addresses: Addresses) -> bool:
    for url, path in ((addresses.flink_rest_url, "/overview"), (addresses.dagster_url, "/server_info")):
        with suppress(httpx.TransportError), rest_client(url, timeout=2) as client:
            if client.get(path).is_success:
                return True
    return False


def _refuse_supervised(settings: Settings) -> None:
    """Both commands are for processes that something else runs, and for parts that each have a machine of their own."""
    if settings.supervised:
        raise ConfigError("supervised", "is true: `pipeline up` runs all processes. For containers, set it to false")
    if not (settings.kafka.bootstrap_servers and settings.flink.rest_url):
        raise ConfigError("supervised", "is false: name kafka.bootstrap_servers and flink.rest_url as well")
