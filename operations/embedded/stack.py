"""The pipeline put together: which processes there are, in which order, with which environment."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from contracts import names, postgres
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from contracts.sessions import SESSION_VARIABLE
from contracts.settings import Settings
from operations.embedded.broker import Broker
from operations.embedded.flink import FlinkCluster
from operations.embedded.jvm import LOCALE, QUICK_START
from operations.embedded.storage import keep_contracts, storage
from operations.embedded.supervision import Program
from operations.jars import flink_jars, hadoop_jars, kafka_jars, s3_jars
from operations.java import find_java
from operations.ports import Ports

_CLIENT_JVM = f"-XX:+UseSerialGC {QUICK_START} -Xmx256m {' '.join(LOCALE)}"
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
        return self.settings.addresses(
            kafka_port=self.ports.kafka, flink_rest_port=self.ports.flink_rest, dagster_port=self.ports.dagster
        )

    def prepare(self) -> None:
        """Writes every configuration file, makes the tables and databases.

        Raises JavaMissing, JarError, ConfigError, ComponentFailed.
        """
        paths = self.settings.paths
        paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.run.mkdir(mode=0o700, exist_ok=True)
        keep_contracts(paths)
        with storage(self.settings, self.environment()):
            if names.BROKER not in self.settings.elsewhere:
                self._broker().prepare()
            self._flink().prepare()

    def programs(self) -> tuple[Program, ...]:
        """Those that run here, in the order they start."""
        elsewhere = self.settings.elsewhere
        broker = () if names.BROKER in elsewhere else (self._broker_program(),)
        flink = () if names.JOBMANAGER in elsewhere else self.flink()
        traffic = Program(names.GENERATOR, (sys.executable, "-m", "generator"), wanted=False, stop_seconds=12)
        return (
            *broker,
            *flink,
            Program(names.JOB_KEEPER, (sys.executable, "-m", "operations.keeper")),
            *((traffic,) if self.generator else ()),
            *self.control_plane(),
        )

    def _broker(self) -> Broker:
        ports = self.ports
        return Broker(
            self.settings.paths.kafka, find_java().executable, kafka_jars(), self.settings.kafka, ports.kafka,
            ports.kafka_controller,
        )  # fmt: skip

    def _broker_program(self) -> Program:
        return Program(names.BROKER, self._broker().command(), stop_seconds=10, start_seconds=_START_SECONDS)

    def _flink(self) -> FlinkCluster:
        host, port = self.addresses.flink_rest
        user_jars = (*flink_jars(), *(s3_jars() if self.settings.lake.warehouse else ()))
        return FlinkCluster(
            self.settings.paths, find_java().executable, user_jars, hadoop_jars(), self.settings.flink, port,
            self.ports.flink_rpc or self.settings.flink.rpc_port, host, self.settings.listen,
        )  # fmt: skip

    def flink(self) -> tuple[Program, ...]:
        """Flink's: the JobManager, and a TaskManager a job."""
        flink = self._flink()
        return (
            Program(names.JOBMANAGER, flink.jobmanager_command(), start_seconds=_START_SECONDS),
            *(
                Program(name, flink.taskmanager_command(job), nice=_TASKMANAGER_NICE[job], start_seconds=_START_SECONDS)
                for job, name in names.TASKMANAGERS.items()
            ),
        )

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
                "-h", self.settings.listen, "-p", str(self.ports.dagster_code),
            ),
            dagster(names.DAEMON, _NO_DOCSTRINGS, str(binaries / "dagster-daemon"), "run", "-w", workspace),
            dagster(
                names.WEBSERVER, _NO_DOCSTRINGS, str(binaries / "dagster-webserver"), "-w", workspace,
                "-h", self.settings.listen, "-p", str(self.ports.dagster),
                *(("--read-only",) if self.settings.dagster.read_only else ()),
            ),
        )  # fmt: skip

    def environment(self, *, flink: bool = True) -> dict[str, str]:
        """What they run in; without `flink`, what does for the generator and Dagster."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {
            **inherited,
            **(self._flink().environment() if flink else {}),
            **postgres.password_file(self.settings.paths.run),
            **self.addresses.to_environment(),
            SESSION_VARIABLE: self.session,
            "PIPELINE_CONTRACTS": str(self.settings.paths.contracts),
            "PYTHONUNBUFFERED": "1",
            "JVM_ARGS": _CLIENT_JVM,
            "DAGSTER_HOME": str(self.settings.paths.dagster),
            "DAGSTER_CODE_HOST": self.settings.dagster.code_host,
            "DAGSTER_CODE_PORT": str(self.ports.dagster_code),
            # What was asked for by an option holds as well where the pipeline takes over from itself.
            READ_ONLY_VARIABLE: str(self.settings.dagster.read_only).lower(),
        }
