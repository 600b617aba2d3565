"""Brings the embedded pipeline up and down."""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed, NotRunning, PipelineError
from contracts.settings import Settings
from operations.embedded.stack import Stack
from operations.embedded.supervision import Supervisor
from operations.flink_jobs import stop_jobs
from operations.health import Component, Health, examine
from operations.ports import choose_ports

_LOOK_SECONDS = 0.5
# Of the 15 s that `down` may take: the jobs' savepoints first, then the processes.
_SAVEPOINT_SECONDS = 5.0
_PROCESS_SECONDS = 8.0

Watcher = Callable[[tuple[Component, ...]], None]


@dataclass(frozen=True)
class Running:
    """A running pipeline: its addresses, and whether it was running before it was asked for."""

    addresses: Addresses
    was_running: bool


class Pipeline:
    """The embedded pipeline of one state folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supervisor = Supervisor(settings.paths)

    def is_running(self) -> bool:
        """Whether its supervisor answers."""
        return self.supervisor.is_running()

    def addresses(self) -> Addresses:
        """Where it can be reached. Raises NotRunning where it was never started."""
        return Addresses.read(self.settings.paths.root)

    def components(self, *, memory: bool = False) -> tuple[Component, ...]:
        """The health of everything. Raises NotRunning."""
        if not self.is_running():
            raise NotRunning(f"no pipeline runs in {self.settings.paths.root}. Start it: pipeline up")
        return examine(self.addresses(), self.supervisor.processes(), memory=memory)

    def start(self, *, generator: bool) -> Running:
        """Starts every process and returns at once; `await_healthy` waits for them. Harmless where it already runs.

        Raises PortTaken, JavaMissing, JarError, ComponentFailed; then nothing is left running.
        """
        with self._alone():
            if self.is_running():
                return Running(self.addresses(), was_running=True)
            if self.supervisor.leftovers():
                self.supervisor.stop(seconds=_PROCESS_SECONDS)
            session = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
            stack = Stack(self.settings, choose_ports(self.settings), session, generator)
            programs, environment = stack.prepare()
            try:
                self.supervisor.start(programs, environment)
                stack.addresses.write()
            except BaseException:  # Ctrl-C included: whatever was started must not outlive this call
                self.supervisor.stop(seconds=_PROCESS_SECONDS)
                raise
            return Running(stack.addresses, was_running=False)

    def await_healthy(self, watch: Watcher) -> None:
        """Returns when everything is healthy; `watch` sees every look on the way. Starts the generator once the jobs run.

        Raises ComponentFailed, naming what is missing, after `ready_seconds`.
        """
        deadline = time.monotonic() + self.settings.ready_seconds
        while True:
            components = self.components()
            watch(components)
            unhealthy = [component for component in components if component.health is not Health.HEALTHY]
            if not unhealthy:
                return
            if {component.name for component in unhealthy} <= {
                names.GENERATOR,
                names.CODE_SERVER,
                names.DAEMON,
                names.WEBSERVER,
            }:
                self._start_generator()
            if time.monotonic() > deadline:
                missing = "; ".join(f"{component.name}: {component.detail}" for component in unhealthy)
                raise ComponentFailed(
                    f"not healthy after {self.settings.ready_seconds} s: {missing}. It is left running: look at "
                    "`pipeline logs`, end it with `pipeline down`"
                )
            time.sleep(_LOOK_SECONDS)

    def _start_generator(self) -> None:
        for process in self.supervisor.processes():
            if process.name == names.GENERATOR and process.state == "STOPPED":
                self.supervisor.start_program(names.GENERATOR)

    def stop(self) -> bool:
        """Ends every process, the jobs with savepoints where there is time. Returns whether anything ran."""
        with self._alone():
            if not self.is_running():
                ran = bool(self.supervisor.leftovers())
                if ran:
                    self.supervisor.stop(seconds=_PROCESS_SECONDS)
                return ran
            # The keeper first: it would submit the jobs again.
            for name in (names.JOB_KEEPER, names.GENERATOR, names.DAEMON, names.WEBSERVER, names.CODE_SERVER):
                self.supervisor.stop_program(name)
            with (
                suppress(NotRunning, httpx.HTTPError),
                httpx.Client(base_url=self.addresses().flink_rest_url, timeout=3) as flink,
            ):
                stop_jobs(flink, self.settings.paths.checkpoints, seconds=_SAVEPOINT_SECONDS)
            self.supervisor.stop(seconds=_PROCESS_SECONDS)
            return True

    def reset(self) -> None:
        """Removes the state folder: log, tables, checkpoints and all. Raises PipelineError while the pipeline runs."""
        if self.is_running():
            raise PipelineError("the pipeline is running. End it first: pipeline down")
        root = self.settings.paths.root
        if root.exists() and not (root / "run").is_dir():
            raise PipelineError(f"{root} is not a pipeline's state folder (it has no run/); nothing was removed")
        shutil.rmtree(root, ignore_errors=False) if root.exists() else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands that start or stop the same pipeline wait for each other."""
        folder = self.settings.paths.run
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(str(os.getpid()))
            yield
