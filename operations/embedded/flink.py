"""The Flink cluster: a JobManager and a TaskManager a job, from the distribution inside PyFlink's wheel.

Writes their configuration and gives their commands; the supervisor runs them, or a container each. The commands start
Java directly: Flink's own shell scripts first start two more JVMs to divide the memory, which costs 2 to 4 s a start.
"""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import yaml

from contracts import names
from contracts.errors import MachineError
from contracts.paths import PROJECT, StatePaths
from contracts.settings import Flink
from operations.embedded.jvm import QUICK_START, java_command, write_log_configuration
from operations.embedded.taskmanager import TaskManager

# What Flink, Hadoop and Arrow reach by reflection on Java 17 and later; the list of Flink's own config.yaml.
_EXPORTS = ("java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS = tuple(
    f"java.base/{package}"
    for package in (
        "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
        "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
    )
)  # fmt: skip
JAVA_OPTIONS = (
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS),
)


def distribution() -> Path:
    """The Flink distribution inside the PyFlink wheel. Raises MachineError where PyFlink is not installed."""
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise MachineError("PyFlink is not installed in this environment. Run the command through: uv run pipeline ...")
    return Path(spec.origin).parent


@dataclass(frozen=True)
class FlinkCluster:
    """The cluster of one state folder."""

    paths: StatePaths
    java: Path
    user_jars: tuple[Path, ...]
    hadoop_jars: tuple[Path, ...]
    settings: Flink
    rest_port: int
    rpc_port: int
    # Where its processes find the JobManager, and what all of them listen on.
    host: str = "127.0.0.1"
    listen: str = "127.0.0.1"

    @property
    def configuration_folder(self) -> Path:
        """`FLINK_CONF_DIR` of the cluster and of every client."""
        return self.paths.flink / "conf"

    def prepare(self) -> None:
        """Writes the configuration."""
        self.configuration_folder.mkdir(parents=True, exist_ok=True)
        self.paths.checkpoints.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self.configuration(), sort_keys=True)
        (self.configuration_folder / "config.yaml").write_text(text, encoding="utf-8")
        quiet = ("org.apache.kafka", "org.apache.hadoop", "org.apache.pekko", "org.apache.flink.runtime.metrics")
        for component in (names.JOBMANAGER, *names.TASKMANAGERS.values()):
            write_log_configuration(
                self.configuration_folder / f"{component}.properties", component=component, quiet=quiet
            )
        # The client's: it thinks aloud about every SQL class at level info.
        write_log_configuration(self.configuration_folder / "log4j-cli.properties", component="jobs", level="warn")

    def configuration(self) -> dict[str, object]:
        """What all of Flink's processes share, keys as Flink spells them."""
        temporary = self.paths.flink / "tmp"
        return {
            "jobmanager.rpc.address": self.host,
            "jobmanager.bind-host": self.listen,
            "jobmanager.rpc.port": self.rpc_port,
            "jobmanager.memory.process.size": f"{self.settings.jobmanager_mb}m",
            "jobmanager.execution.failover-strategy": "region",
            "env.java.opts.all": " ".join(JAVA_OPTIONS),
            # Elsewhere it finds out by itself under which address the JobManager sees it.
            **({"taskmanager.host": self.listen} if self.listen == "127.0.0.1" else {}),
            "taskmanager.bind-host": self.listen,
            "rest.address": self.host,
            "rest.bind-address": self.listen,
            "rest.port": self.rest_port,
            "rest.bind-port": str(self.rest_port),
            # Whoever may submit a job may run any code: the page shows, the command line acts.
            "web.submit.enable": False,
            "web.upload.dir": str(temporary / "web"),
            "io.tmp.dirs": str(temporary),
            # A TaskManager killed without a word is noticed in 10 s, not in 50.
            "heartbeat.interval": "2 s",
            # A TaskManager that starts faster than its JobManager would try again after 10 s only.
            "cluster.registration.error-delay": "500 ms",
            "heartbeat.timeout": "10 s",
            # How old a metric may be that is asked for: where a new rule book stands decides when it takes over.
            "metrics.fetcher.update-interval": "1000",
            # The same of its list of jobs.
            "web.refresh-interval": "1000",
            # So many of each job's checkpoints can be gone back to. Flink takes it from here, not from the job.
            "execution.checkpointing.num-retained": 3,
            "cluster.evenly-spread-out-slots": False,
            "classloader.check-leaked-classloader": False,
            # User classes lie on the cluster's own class path, as it serves these jobs alone: loaded once, not per job.
            "classloader.resolve-order": "parent-first",
        }

    def environment(self) -> dict[str, str]:
        """What the cluster's processes and its clients need in their environment."""
        python_path = [str(PROJECT), *(entry for entry in sys.path if entry.endswith("site-packages"))]
        return {
            "FLINK_HOME": str(distribution()),
            "FLINK_CONF_DIR": str(self.configuration_folder),
            "JAVA_HOME": str(self.java.parents[1]),
            # Read by PyFlink's client, which has no other way to take jars on Java 17; the cluster has the same ones.
            "HADOOP_CLASSPATH": os.pathsep.join(map(str, (*self.hadoop_jars, *self.user_jars))),
            # Python functions run inside the TaskManager (thread mode), which knows nothing of the virtual environment.
            "PYTHONPATH": os.pathsep.join(python_path),
        }

    def _classpath(self) -> list[Path]:
        home = distribution()
        libraries = sorted((home / "lib").glob("*.jar"))
        return [*libraries, *(home / "opt").glob("flink-python-*.jar"), *self.user_jars, *self.hadoop_jars]

    def jobmanager_command(self) -> tuple[str, ...]:
        """The command that runs the JobManager in the foreground."""
        heap = self.settings.jobmanager_mb - 320
        limits = (f"-Xms{heap // 2}m", f"-Xmx{heap}m", "-XX:MaxMetaspaceSize=192m")
        return java_command(
            self.java,
            main_class="org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            classpath=self._classpath(),
            options=(QUICK_START, *self._options("jobmanager"), *limits),
            arguments=("--configDir", str(self.configuration_folder), "--executionMode", "cluster"),
        )

    def taskmanager_command(self, job: str) -> tuple[str, ...]:
        """The command that runs the TaskManager of `job` in the foreground."""
        taskmanager = TaskManager.of(job, self.settings)
        own = [part for item in taskmanager.configuration().items() for part in ("-D", "=".join(item))]
        return java_command(
            self.java,
            main_class="org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            classpath=self._classpath(),
            options=(*self._options(taskmanager.name), *taskmanager.java_options()),
            arguments=("--configDir", str(self.configuration_folder), *own),
        )

    def _options(self, component: str) -> tuple[str, ...]:
        return (*JAVA_OPTIONS, f"-Dlog4j2.configurationFile={self.configuration_folder / f'{component}.properties'}")
