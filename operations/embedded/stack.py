"""The embedded pipeline put together: which processes there are, in which order, with which environment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from contracts.sessions import SESSION_VARIABLE
from contracts.settings import Settings
from operations.embedded.broker import Broker
from operations.embedded.flink import FlinkCluster
from operations.embedded.jvm import QUICK_START
from operations.embedded.storage import keep_contracts, storage
from operations.embedded.supervision import Program
from operations.jars import flink_jars, hadoop_jars, kafka_jars
from operations.java import find_java
from operations.ports import Ports

_CLIENT_JVM = f"-XX:+UseSerialGC {QUICK_START} -Xmx512m"
# Wherever both want a core, the control plane yields to the tables, and these to the alerts.
_CONTROL_PLANE_NICE = 10
# Of glibc: Dagster's processes have some 25 threads, each of which would get an arena of its own. 20 MB of 496 less.
# Of Arrow: its own allocator keeps what was freed.
_LITTLE_MEMORY = ("MALLOC_ARENA_MAX=2", "ARROW_DEFAULT_MEMORY_POOL=system")
# Docstrings are 14 MB of the two that run nothing of ours.
_NO_DOCSTRINGS = "PYTHONOPTIMIZE=2"
_TASKMANAGER_NICE = {names.ALERTING_JOB: 0, names.LAKEHOUSE_JOB: 5}
READ_ONLY_VARIABLE = "PIPELINE_DAGSTER__READ_ONLY"
# What takes seconds to start also takes seconds to fail; started again at once each time, it would hold a core.
_START_SECONDS = 15


@dataclass(frozen=True)
class Stack:
    """The processes of one pipeline on this machine."""

    settings: Settings
    ports: Ports
    session: str
    generator: bool

    @property
    def addresses(self) -> Addresses:
        """Where it can be reached."""
        return Addresses.local(
            state=self.settings.paths,
            kafka_port=self.ports.kafka,
            flink_rest_port=self.ports.flink_rest,
            dagster_port=self.ports.dagster,
        )

    def prepare(self) -> tuple[tuple[Program, ...], dict[str, str]]:
        """Writes every configuration file; returns the programs and the environment they run in.

        Raises JavaMissing, JarError, ConfigError, ComponentFailed.
        """
        paths, java = self.settings.paths, find_java().executable
        broker = Broker(
            paths.kafka, java, kafka_jars(), self.settings.kafka, self.ports.kafka, self.ports.kafka_controller
        )
        flink = FlinkCluster(
            paths, java, flink_jars(), hadoop_jars(), self.settings.flink, self.ports.flink_rest, self.ports.flink_rpc
        )
        paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_contracts(paths)
        environment = self._environment(flink)
        with storage(paths, environment):
            broker.prepare()
            flink.prepare()
        return self._programs(broker, flink), environment

    def _programs(self, broker: Broker, flink: FlinkCluster) -> tuple[Program, ...]:
        traffic = Program(names.GENERATOR, (sys.executable, "-m", "generator"), wanted=False, stop_seconds=12)
        return (
            Program(names.BROKER, broker.command(), stop_seconds=10, start_seconds=_START_SECONDS),
            Program(names.JOBMANAGER, flink.jobmanager_command(), start_seconds=_START_SECONDS),
            *(
                Program(
                    name, flink.taskmanager_command(job), nice=_TASKMANAGER_NICE[job], start_seconds=_START_SECONDS
                )
                for job, name in names.TASKMANAGERS.items()
            ),
            Program(names.JOB_KEEPER, (sys.executable, "-m", "operations.keeper")),
            *((traffic,) if self.generator else ()),
            *self.control_plane(),
        )  # fmt: skip

    def control_plane(self) -> tuple[Program, ...]:
        """Dagster's three: the code server, which holds all that is ours, and the daemon and webserver that ask it."""

        def dagster(name: str, *command: str) -> Program:
            return Program(
                name,
                ("env", *_LITTLE_MEMORY, *command, "--log-format", "json"),
                nice=_CONTROL_PLANE_NICE,
                start_seconds=_START_SECONDS,
            )

        binaries, workspace = Path(sys.executable).parent, str(PROJECT / "workspace.yaml")
        return (
            dagster(
                names.CODE_SERVER, str(binaries / "dagster"), "api", "grpc", "-m", "pipeline_assets.definitions",
                "-h", "127.0.0.1", "-p", str(self.ports.dagster_code),
            ),
            dagster(names.DAEMON, _NO_DOCSTRINGS, str(binaries / "dagster-daemon"), "run", "-w", workspace),
            dagster(
                names.WEBSERVER, _NO_DOCSTRINGS, str(binaries / "dagster-webserver"), "-w", workspace,
                "-h", "127.0.0.1", "-p", str(self.ports.dagster),
                *(("--read-only",) if self.settings.dagster.read_only else ()),
            ),
        )  # fmt: skip

    def _environment(self, flink: FlinkCluster) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {
            **inherited,
            **flink.environment(),
            **self.addresses.to_environment(),
            SESSION_VARIABLE: self.session,
            "PIPELINE_CONTRACTS": str(self.settings.paths.contracts),
            "PYTHONUNBUFFERED": "1",
            "JVM_ARGS": _CLIENT_JVM,
            "DAGSTER_HOME": str(self.settings.paths.dagster),
            "DAGSTER_CODE_PORT": str(self.ports.dagster_code),
            # What was asked for by an option holds as well where the pipeline takes over from itself.
            READ_ONLY_VARIABLE: str(self.settings.dagster.read_only).lower(),
        }
