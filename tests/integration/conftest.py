"""The real pipeline for integration tests: started by its own command line, on free ports, in a temporary folder."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest

from contracts.addresses import Addresses
from contracts.paths import PROJECT, StatePaths
from contracts.rest import rest_client
from contracts.settings import Settings, load_settings
from operations.embedded.lifecycle import Pipeline
from operations.embedded.supervision import Supervisor
from operations.health import Health
from operations.status import Status, take_status

_FREE_PORTS = {
    f"PIPELINE_{name}": "0"
    for name in (
        "KAFKA__PORT", "KAFKA__CONTROLLER_PORT", "FLINK__REST_PORT", "FLINK__RPC_PORT", "DAGSTER__PORT",
        "DAGSTER__CODE_PORT",
    )
}  # fmt: skip

# A test that accounts for every record waits until a checkpoint covers it: by the default intervals, 30 and 5 s, that
# would be most of its time.
_SOON = {"PIPELINE_FLINK__ALERTING_CHECKPOINT_MS": "3000", "PIPELINE_FLINK__LAKEHOUSE_CHECKPOINT_MS": "2500"}
# Without the second compiler a start takes 80 seconds of processor time instead of 98; no test lives long enough for
# what it compiles to pay.
COMPILED_ONCE = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1"}


@dataclass(frozen=True)
class CommandLine:
    """`pipeline` for one state folder, as a user calls it."""

    state: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, check: bool = True, timeout: float = 240) -> "subprocess.CompletedProcess[str]":
        """Runs `pipeline` with `arguments`; with `check` any exit code but 0 fails the test, with what was printed."""
        done = subprocess.run(
            [sys.executable, "-m", "operations.cli", *arguments],
            capture_output=True, text=True, timeout=timeout, env=self.environment, cwd=PROJECT, check=False,
        )  # fmt: skip
        if check and done.returncode != 0:
            pytest.fail(f"pipeline {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows that `pipeline query` prints."""
        return [json.loads(line) for line in self("query", "--output", "json", sql).stdout.splitlines()]

    def status(self) -> Status:
        """Return what `pipeline status` shows, without a process of its own, which costs 2 s of a core each time.

        Raises NotRunning.
        """
        return take_status(Pipeline(self._settings))

    def unhealthy(self) -> list[str]:
        """Return the names of the components that are not healthy; the tables are not asked. Raises NotRunning."""
        found = Pipeline(self._settings).components()
        return [component.name for component in found if component.health is not Health.HEALTHY]

    @cached_property
    def _settings(self) -> Settings:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            return load_settings()

    def processes(self) -> dict[str, int]:
        """Return the process ids by component."""
        return {found.name: found.pid for found in Supervisor(StatePaths(self.state)).processes() if found.pid}

    def addresses(self) -> Addresses:
        """Where the pipeline of this state folder is."""
        return Addresses.read(self.state)

    def survivors(self) -> list[str]:
        """Command lines of the pipeline's processes that are alive."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                if environment.get("PIPELINE_STATE") == str(self.state) and "PIPELINE_SESSION" in environment:
                    found.append(" ".join(process.cmdline())[:120])
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


def command_line(state: Path, **settings: str) -> CommandLine:
    """A command line for the state folder `state`, on free ports."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "PYTHONDONT"))}
    kept = {name: value for name, value in os.environ.items() if name == "PIPELINE_CACHE"}
    own = {**_FREE_PORTS, **_SOON, **COMPILED_ONCE, "PIPELINE_STATE": str(state)}
    return CommandLine(state, {**inherited, **kept, **own, **settings})


def ask_dagster(pipeline: CommandLine, query: str) -> dict[str, Any]:
    """Return what Dagster's web server answers to a GraphQL query."""
    with rest_client(pipeline.addresses().dagster_url, timeout=10) as dagster:
        data: dict[str, Any] = dagster.post("/graphql", json={"query": query}).raise_for_status().json()["data"]
    return data


@contextmanager
def running_pipeline(tmp_path_factory: pytest.TempPathFactory, *options: str) -> Iterator[CommandLine]:
    """A pipeline, `up` with these options, that runs without its generator; when it has been ended, none of its
    processes is left."""
    # A blank in the path: every part must bear one.
    command = command_line(tmp_path_factory.mktemp("a pipeline").resolve())
    with up_without_generator(command, *options):
        yield command


@contextmanager
def up_without_generator(command: CommandLine, *options: str) -> Iterator[None]:
    """The pipeline of `command` runs inside the block; afterwards none of its processes is left."""
    try:
        command("up", "--detach", "--no-generator", *options)
        yield
    finally:
        command("down", check=False)
        left = command.survivors()
    assert not left, f"processes outlived `pipeline down`: {left}"
