"""Brings the embedded pipeline up and down."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import httpx
from rich.progress import Progress

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed, ConfigError, MachineError, NotRunning, PipelineError
from contracts.rest import rest_client
from contracts.sessions import new_session
from contracts.settings import Settings
from operations.embedded.closing import Closing, restarts_of
from operations.embedded.stack import Stack
from operations.embedded.supervision import Supervisor
from operations.flink_jobs import stop_jobs
from operations.health import Component, Health, examine
from operations.jars import fetch_all
from operations.ports import choose_ports
from operations.preflight import check_configuration
from operations.refusals import clear_refusals, read_refusal
from operations.rules.switch import want_what_is_configured
from operations.table_files import refuse_damage

_LOOK_SECONDS = 1.0
# Of the 15 s that `down` may take: the jobs' savepoints first, then the processes.
_SAVEPOINT_SECONDS = 4.5
_PROCESS_SECONDS = 7.5
_DOWN_SECONDS = 14.0
# Of the folders in the state folder, what stays when the tables are set aside.
_KEPT = ("lake", "run", "logs")
# These write and read nothing of the stream: they are asked to end while the jobs write their savepoints.
_CONTROL_PLANE = (names.DAEMON, names.WEBSERVER, names.CODE_SERVER)

Watcher = Callable[[tuple[Component, ...]], None]


@dataclass(frozen=True)
class Running:
    """A running pipeline: its addresses, and whether it was running before it was asked for."""

    addresses: Addresses
    was_running: bool


def _remove(paths: Iterable[Path]) -> None:
    try:
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise PipelineError(f"not everything could be removed: {error}. Remove the rest by hand") from error


def _dead_supervisor(orphans: int) -> Component:
    detail = (
        f"it died, and nobody restarts what it left (processes: {orphans}). All of it is started anew within a minute, "
        "the jobs from their newest checkpoints; where that does not happen: pipeline up"
    )
    return Component("supervisor", Health.UNHEALTHY, detail)


class Pipeline:
    """The embedded pipeline of one state folder. `started` tells whether this object has started its processes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.supervisor = Supervisor(settings.paths)
        self.started = False

    def is_running(self) -> bool:
        """Whether its supervisor answers."""
        return self.supervisor.is_running()

    def addresses(self) -> Addresses:
        """Where it can be reached. Raises NotRunning where it was never started."""
        return Addresses.read(self.settings.paths.root)

    def components(self, *, memory: bool = False) -> tuple[Component, ...]:
        """The health of everything. Raises NotRunning."""
        processes = self.supervisor.processes()
        if processes:
            return examine(self.addresses(), processes, elsewhere=self.settings.elsewhere, memory=memory)
        if not self.settings.supervised:
            return examine(self.addresses(), (), elsewhere=self.settings.elsewhere)
        if orphans := self.supervisor.leftovers():
            left = examine(self.addresses(), (), elsewhere=self.settings.elsewhere)
            return (_dead_supervisor(len(orphans)), *left)
        raise NotRunning(f"no pipeline runs in {self.settings.paths.root}. Start it: pipeline up")

    def start(self, *, generator: bool, keep_rules: bool = False, progress: Progress | None = None) -> Running:
        """Starts every process and returns at once; `await_healthy` waits for them. Where it already runs, only what
        its supervisor has given up is started again.

        With `keep_rules` the rules in force stay so, whatever the rule file says. Jars that are missing are fetched
        first, shown in `progress`.
        Raises ConfigError, PortTaken, JavaMissing, JarError, TableDamaged, ComponentFailed; then nothing is left
        running.
        """
        self._refuse_unsupervised()
        check_configuration(self.settings, generator=generator, keep_rules=keep_rules)
        self._refuse_foreign_folder()
        fetch_all(progress, s3=bool(self.settings.lake.warehouse))
        with self._alone():
            if self.is_running():
                self._start_given_up()
                return Running(self.addresses(), was_running=True)
            if self._setting_aside.exists():
                raise PipelineError("setting the tables aside was interrupted. Finish it: pipeline reset --keep-tables")
            if self.supervisor.leftovers():
                self.supervisor.stop(seconds=_PROCESS_SECONDS)
            refuse_damage(self.settings)
            stack = Stack(self.settings, choose_ports(self.settings), new_session(datetime.now(UTC)), generator)
            stack.prepare()
            stack.addresses.write()
            clear_refusals(self.settings.paths, *names.JOBS)
            want_what_is_configured(self.settings, stack.addresses, keep_rules=keep_rules)
            self.started = True
            try:
                self.supervisor.start(stack.programs(), stack.environment())
            except BaseException:  # Ctrl-C included: whatever was started must not outlive this call
                self.supervisor.stop(seconds=0)
                raise
            return Running(stack.addresses, was_running=False)

    def await_healthy(self, watch: Watcher) -> None:
        """Returns when everything is healthy, `watch` having seen every look. Starts the generator once the jobs run.

        Raises ComponentFailed, naming what is missing, after `ready_seconds`, and at once for a job that is refused;
        NotRunning where somebody ends it.
        """
        deadline = time.monotonic() + self.settings.ready_seconds
        while True:
            components = self.components()
            watch(components)
            unhealthy = [component for component in components if component.health is not Health.HEALTHY]
            if not unhealthy:
                return
            for job in names.JOBS:
                if reason := read_refusal(self.settings.paths.root, job):
                    raise ComponentFailed(
                        f"the job {job} is not started: {reason}. What else runs is left running; end it: pipeline down"
                    )
            if {component.name for component in unhealthy} <= {names.GENERATOR, *_CONTROL_PLANE}:
                self._start_generator()
            if time.monotonic() > deadline:
                missing = "; ".join(f"{component.name}: {component.detail}" for component in unhealthy)
                raise ComponentFailed(
                    f"not healthy after {self.settings.ready_seconds} s: {missing}. It is left running: look at "
                    "`pipeline logs`, end it with `pipeline down`"
                )
            time.sleep(_LOOK_SECONDS)

    def _start_given_up(self) -> None:
        for process in self.supervisor.processes():
            if process.state == "FATAL":
                self.supervisor.start_program(process.name)

    def _start_generator(self) -> None:
        for process in self.supervisor.processes():
            if process.name == names.GENERATOR and process.state == "STOPPED":
                self.supervisor.start_program(names.GENERATOR)

    def stop(self, warn: Callable[[str], None] | None = None) -> bool:
        """Ends every process, the jobs with savepoints where there is time. Returns whether anything ran.

        The session's row is closed meanwhile; where it cannot be, `warn` is told why, and the next session closes it.
        An interruption ends everything at once, and is raised then.
        """
        self._refuse_unsupervised()
        if not self.settings.paths.run.exists() and not self.supervisor.leftovers():
            return False  # and no folder is made by asking
        with self._alone():
            if not self.is_running():
                if not self.supervisor.leftovers():
                    return False
                self.supervisor.stop(seconds=_PROCESS_SECONDS)
                return True
            started = time.monotonic()
            closing = self._closing()
            try:
                # The keeper first: it would submit the jobs again.
                for name in (names.JOB_KEEPER, names.GENERATOR, *_CONTROL_PLANE):
                    self.supervisor.stop_program(name)
                restarts = None
                with (
                    suppress(NotRunning, httpx.HTTPError),
                    rest_client(self.addresses().flink_rest_url, timeout=3) as flink,
                ):
                    restarts = restarts_of(flink)
                    stop_jobs(flink, self.settings.paths.checkpoints, seconds=_SAVEPOINT_SECONDS)
                if closing:
                    closing.count(restarts)
                self.supervisor.stop(seconds=_PROCESS_SECONDS)
            except BaseException:
                if closing:
                    closing.abandon()
                self.supervisor.stop(seconds=0)
                raise
            left = max(0.0, _DOWN_SECONDS - (time.monotonic() - started))
            if closing and (reason := closing.outcome(seconds=left)) and warn:
                warn(f"the session's row in {names.NAMESPACE}.{names.SESSIONS} is not closed: {reason}")
            return True

    def _closing(self) -> Closing | None:
        session = self.supervisor.session()
        # A pipeline whose tables were never made has no row.
        made = self.settings.lake.catalog or self.settings.paths.catalog.exists()
        return Closing(self.addresses(), session) if session and made else None

    def is_removable(self) -> bool:
        """Whether there is a state folder. Raises PipelineError while processes write to it, or where it is none."""
        self._refuse_unsupervised()
        root = self.settings.paths.root
        if self.is_running() or self.supervisor.leftovers():
            raise PipelineError(f"the pipeline in {root} is running. End it first: pipeline down")
        if not root.exists():
            return False
        if not self._is_state_folder() and any(not path.is_dir() for path in root.rglob("*")):
            raise PipelineError(
                f"{root} is not a pipeline's state folder (it has no run/pipeline.lock); nothing removed"
            )
        return True

    def reset(self) -> None:
        """Removes the state folder: log, tables, checkpoints and all. Raises PipelineError as `is_removable` does."""
        if not self.is_removable():
            return
        with self._alone():
            self.is_removable()
            # Interrupted, it is still a state folder, to be removed again. The log goes first: without it no job is
            # started over the tables. Tables that had gone before the log and the checkpoints would be made again, and
            # lack their rows. The lock, which tells what the folder is, goes when nothing else is in it.
            paths = self.settings.paths
            late = (paths.catalog.parent, paths.run)
            _remove([paths.kafka] if paths.kafka.exists() else [])
            _remove(child for child in sorted(paths.root.iterdir()) if child not in late)
            _remove([paths.catalog.parent] if paths.catalog.parent.exists() else [])
            _remove(child for child in sorted(paths.run.iterdir()) if child != self._lock)
            _remove((self._lock, paths.run, paths.root))

    def set_tables_aside(self) -> str:
        """Begins with an empty log and empty tables, and keeps those that are there; the namespace they have now.

        Interrupted, it is to be done again: until then nothing can be started. Raises PipelineError as `is_removable`
        does, and where there is nothing to keep.
        """
        # These take a second, which no other command has.
        from lake.catalog import open_catalog
        from lake.set_aside import set_aside

        if not self.is_removable():
            raise PipelineError(f"there is nothing in {self.settings.paths.root}")
        with self._alone():
            self.is_removable()
            begun = self._setting_aside
            if not begun.exists():
                draft = begun.with_suffix(".draft")
                draft.write_text(f"{datetime.now(UTC):%Y%m%dt%H%M%Sz}", encoding="ascii")
                draft.replace(begun)
            with open_catalog(self.settings.addresses(kafka_port=1, flink_rest_port=1, dagster_port=1)) as catalog:
                namespace = set_aside(catalog, begun.read_text(encoding="ascii"))
            _remove(child for child in self.settings.paths.root.iterdir() if child.name not in _KEPT)
            self.settings.paths.settled_offsets.unlink(missing_ok=True)
            begun.unlink()
            return namespace

    def repair(self) -> tuple[str, ...]:
        """Mend a state folder that was damaged, see `operations/repair.py`; what was done, a sentence each.

        Raises PipelineError as `is_removable` does, and TableDamaged for what cannot be mended.
        """
        from operations.repair import repair  # takes a second, which no other command has

        if not self.is_removable():
            return ()
        with self._alone():
            self.is_removable()
            return tuple(repair(self.settings))

    @property
    def _setting_aside(self) -> Path:
        return self.settings.paths.run / "setting-aside"

    def _is_state_folder(self) -> bool:
        return self._lock.is_file() or self.settings.paths.addresses.is_file()

    def _refuse_unsupervised(self) -> None:
        if not self.settings.supervised:
            raise ConfigError(
                "supervised", "is false: something else runs this pipeline's processes. Use that, as docker compose up"
            )

    def _refuse_foreign_folder(self) -> None:
        """`reset` removes the whole folder, so it must hold nothing else from the beginning."""
        root = self.settings.paths.root
        if root.is_dir() and not self._is_state_folder() and any(root.iterdir()):
            raise ConfigError(
                "environment variable PIPELINE_STATE",
                f"{root} holds other files, and `pipeline reset` would remove them; name a new or an empty folder",
            )

    @property
    def _lock(self) -> Path:
        return self.settings.paths.run / "pipeline.lock"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands that start, stop or remove the same pipeline wait for each other. Raises MachineError."""
        while True:
            with self._open_lock() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if self._lock.exists() and os.path.samestat(os.fstat(lock.fileno()), self._lock.stat()):
                    yield
                    return
            # Whoever held it has removed the folder meanwhile: begin anew.

    def _open_lock(self) -> IO[str]:
        paths = self.settings.paths
        try:
            # One by one: mkdir gives the mode to the last folder only.
            paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            paths.run.mkdir(mode=0o700, exist_ok=True)
            return self._lock.open("a", encoding="utf-8")
        except OSError as error:
            raise MachineError(
                f"the state folder {paths.root} cannot be used: {error.strerror}. Choose another one: "
                "PIPELINE_STATE=<folder> pipeline up"
            ) from error
