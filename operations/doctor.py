"""Looks whether this machine can run the pipeline, and says for each thing that is in the way what to do about it.

Everything is looked at, also after the first problem; nothing is started, fetched or written. What the machine has is
a value (`Machine`), so that each judgement can be tested without such a machine.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

import httpx
import psutil
import psycopg2
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import MachineError, PipelineError
from contracts.rest import rest_client
from contracts.settings import Settings
from operations.embedded.supervision import Supervisor
from operations.jars import default_cache, missing, wanted_pins
from operations.java import find_java
from operations.ports import taken_ports
from operations.preflight import check_configuration

Verdict = Literal["good", "doubtful", "bad"]

# At 10,000 records a second all processes together had 2.6 GB (benchmarks/latency.py), a run of Dagster 0.4 more.
_MEMORY_NEEDED, _MEMORY_ADVISED = 2 * 2**30, 3 * 2**30
# Below the first nothing runs for long. The log alone may by default take 2 GiB a partition.
_DISK_NEEDED, _DISK_ADVISED = 2**30, 10 * 2**30
_CPUS_ADVISED = 2
# File systems round times, and a file may be written while we look.
_CLOCK_TOLERANCE_SECONDS = 2
# For parts that run elsewhere.
_ANSWER_SECONDS = 5.0
_SHOWN = {"Flink": "apache-flink", "Dagster": "dagster", "PyIceberg": "pyiceberg", "DuckDB": "duckdb"}


@dataclass(frozen=True)
class Finding:
    """What was looked at and what was found. `exit_code` is what the command line returns for a bad one, else 0."""

    what: str
    verdict: Verdict
    said: str
    exit_code: int = 0


@dataclass(frozen=True)
class Machine:
    """What the machine has: memory and disk in bytes free for us, processors, and the time of day (aware, UTC)."""

    memory: int
    disk: int
    cpus: int
    now: datetime

    @classmethod
    def this(cls, state: Path) -> Self:
        """The one that runs this, with the disk that the state folder `state` lies on or will lie on."""
        there = next(folder for folder in (state, *state.parents) if folder.exists())
        memory = min(psutil.virtual_memory().available, _left_to_container())
        return cls(memory, shutil.disk_usage(there).free, os.cpu_count() or 1, datetime.now(UTC))


@dataclass(frozen=True)
class _Doubt:
    """It will run, but perhaps not well."""

    said: str


def examine(settings: Settings, machine: Machine) -> tuple[Finding, ...]:
    """Everything that a start needs, in the order in which a start meets it."""
    running = Supervisor(settings.paths).is_running()
    looks: dict[str, Callable[[], str | _Doubt]] = {
        "versions": _versions,
        "configuration": lambda: _configuration(settings),
        "Java": _java,
        "jars": lambda: _jars(settings),
        "ports": lambda: _ports(settings, running=running),
        "elsewhere": lambda: _elsewhere(settings),
        "memory": lambda: _memory(machine, running=running),
        "disk": lambda: _disk(machine, settings),
        "processors": lambda: _processors(machine),
        "clock": lambda: _clock(machine, settings.paths.root),
        "state folder": lambda: _state_folder(settings.paths.root),
    }
    return tuple(_finding(what, look) for what, look in looks.items())


def _finding(what: str, look: Callable[[], str | _Doubt]) -> Finding:
    try:
        said = look()
    except PipelineError as error:
        return Finding(what, "bad", str(error), error.exit_code)
    return Finding(what, "doubtful", said.said) if isinstance(said, _Doubt) else Finding(what, "good", said)


def _versions() -> str:
    return ", ".join(f"{name} {version(package)}" for name, package in _SHOWN.items())


def _configuration(settings: Settings) -> str:
    check_configuration(settings, generator=True)
    return "every file is valid"


def _java() -> str:
    found = find_java()
    return f"{found.version} ({found.executable})"


def _jars(settings: Settings) -> str | _Doubt:
    cache = default_cache()
    absent = missing(wanted_pins(s3=bool(settings.lake.warehouse)), cache)
    if not absent:
        return f"all are in {cache}"
    size = sum(pin.bytes for pin in absent) / 1e6
    return _Doubt(
        f"{len(absent)} are not in {cache} yet ({size:.0f} MB). The first start fetches them, or: pipeline fetch"
    )


def _ports(settings: Settings, *, running: bool) -> str:
    if running:
        return "held by the pipeline, which runs"
    if taken := taken_ports(settings):
        by = ", ".join(f"{one.port} ({one.purpose}) by {one.holder or 'another program'}" for one in taken)
        free = " ".join(f"{one.variable}=0" for one in taken)
        raise MachineError(f"in use: {by}. End these programs, or let any free port be taken: {free} pipeline up")
    return "all free"


def _elsewhere(settings: Settings) -> str:
    """Asks each part that is named in the configuration as running elsewhere."""
    addresses = settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=1)
    answered, silent = [], []

    def ask(part: str, look: Callable[[], object]) -> None:
        try:
            look()
            answered.append(part)
        except (KafkaException, httpx.HTTPError, psycopg2.OperationalError) as error:
            silent.append(f"{part}: {str(error).strip()}")

    if settings.kafka.bootstrap_servers:
        broker = AdminClient({**addresses.kafka.librdkafka(), "log_level": 0})
        ask(f"Kafka at {addresses.kafka}", lambda: broker.list_topics(timeout=_ANSWER_SECONDS))
    if settings.flink.rest_url:
        flink = rest_client(settings.flink.rest_url, timeout=_ANSWER_SECONDS)
        with flink:
            ask(f"Flink at {settings.flink.rest_url}", lambda: flink.get("/overview").raise_for_status())
    for database in dict.fromkeys(filter(None, (settings.lake.catalog, settings.dagster.storage))):
        ask(f"PostgreSQL at {database}", partial(_connect, database))
    if silent:
        raise MachineError(f"no answer from {'; '.join(silent)}. Is the address right, and the password set?")
    return ", ".join(answered) or "nothing: every part is started here"


def _connect(database: str) -> None:
    with closing(psycopg2.connect(database, connect_timeout=int(_ANSWER_SECONDS))):
        pass


def _memory(machine: Machine, *, running: bool) -> str | _Doubt:
    said = f"{machine.memory / 2**30:.1f} GiB free"
    if running:
        return f"{said} beside the pipeline, which runs"
    advice = "Close something, or make the parts smaller in config/pipeline.yaml (heap_mb, ..._taskmanager_mb)"
    if machine.memory < _MEMORY_NEEDED:
        raise MachineError(f"{said}, and the processes take 2 and more. {advice}")
    if machine.memory < _MEMORY_ADVISED:
        return _Doubt(f"{said}: enough for little traffic; 3 are advised. {advice}")
    return said


def _disk(machine: Machine, settings: Settings) -> str | _Doubt:
    said = f"{machine.disk / 2**30:.1f} GiB free for {settings.paths.root}"
    advice, log = "Make room, or put it elsewhere: PIPELINE_STATE=<folder>", settings.kafka.retention_mb
    if machine.disk < _DISK_NEEDED:
        raise MachineError(f"{said}: too little for logs, checkpoints and tables. {advice}")
    if machine.disk < _DISK_ADVISED:
        return _Doubt(f"{said}: the log alone may take {log} MiB a partition (kafka.retention_mb). {advice}")
    return said


def _processors(machine: Machine) -> str | _Doubt:
    if machine.cpus < _CPUS_ADVISED:
        return _Doubt(f"{machine.cpus}: alerts and tables will wait for each other; {_CPUS_ADVISED} are advised")
    return f"{machine.cpus}"


def _clock(machine: Machine, state: Path) -> str:
    newest = max((path for path in (state / "logs").glob("*.log")), key=lambda path: path.stat().st_mtime, default=None)
    if newest is not None:
        written = datetime.fromtimestamp(newest.stat().st_mtime, UTC)
        if (written - machine.now).total_seconds() > _CLOCK_TOLERANCE_SECONDS:
            raise MachineError(
                f"it is {machine.now:%Y-%m-%d %H:%M:%S} UTC by this clock, and {newest} was written at "
                f"{written:%Y-%m-%d %H:%M:%S}: the clock went back. Set it right, or wait: latencies would be negative "
                "and event times lie before those of the log"
            )
    return f"{machine.now:%Y-%m-%d %H:%M:%S} UTC"


def _state_folder(state: Path) -> str | _Doubt:
    if not state.exists():
        return f"{state}, made by the first start"
    if not os.access(state, os.W_OK | os.X_OK):
        raise MachineError(
            f"{state} cannot be written by this user. Take it over, or choose another: PIPELINE_STATE=<folder>"
        )
    if others := state.stat().st_mode & 0o077:
        return _Doubt(
            f"{state} is open to other users of the machine (mode ...{others:02o}). Close it: chmod 700 {state}"
        )
    return f"{state}"


def _left_to_container() -> int:
    """What the control group of this process may still take, in bytes; without a limit, more than any machine has."""
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return 1 << 62
    return int(limit) - int(used) if limit.isdecimal() else 1 << 62
