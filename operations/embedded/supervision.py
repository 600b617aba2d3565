"""Runs the processes of the embedded pipeline under supervisord, which restarts what dies and rotates the logs.

This module writes its configuration, starts it, talks to it, and ends it. What the processes are: `stack.py`.
"""

import configparser
import http.client
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import psutil
import tenacity

from contracts.errors import ComponentFailed
from contracts.paths import StatePaths
from contracts.sessions import SESSION_VARIABLE, current_session
from operations.embedded.obituaries import ALIVE, Obituary, last_words, obituary
from operations.embedded.unix_rpc import UnixTransport
from operations.signals import held_back

_LOG = "supervisor.log"
# sockaddr_un holds 104 bytes on macOS and 108 on Linux; while binding, supervisord adds a dot and its pid.
_LONGEST_SOCKET_PATH = 95
# What a supervisor that is not there, that is just ending (a Fault) or that died in mid-sentence makes of a call.
_NO_ANSWER = (OSError, http.client.HTTPException, xmlrpc.client.Error, ExpatError)


@dataclass(frozen=True)
class Program:
    """One supervised process. `nice` lowers its priority; `wanted` starts it with the pipeline.

    What ends within `start_seconds` has failed to start: it is tried again later and later, and given up in the end.
    What ends after them is started again at once.
    """

    name: str
    command: tuple[str, ...]
    nice: int = 0
    wanted: bool = True
    stop_seconds: int = 8
    start_seconds: int = 3
    # The wait before the next start grows by a second each time: at once after a crash, less than once a minute while
    # something lasting is wrong, given up after more than 20 minutes.
    start_retries: int = 50


@dataclass(frozen=True)
class ProcessState:
    """What supervisord knows of a process.

    `state` is its word (STARTING, RUNNING, BACKOFF, FATAL, ...), `complaint` why it could not be started. `obituary` is
    of its recent unexpected ends, `last_words` the last error in its log where there were any.
    """

    name: str
    state: str
    pid: int | None
    up_seconds: int
    complaint: str
    obituary: Obituary = ALIVE
    last_words: str = ""


class Supervisor:
    """The supervisor of one state folder."""

    def __init__(self, paths: StatePaths) -> None:
        self._paths = paths
        self._configuration = paths.run / "supervisord.conf"
        # The socket itself, or a link to it where its own path would be too long.
        self._socket = paths.run / "supervisor.sock"
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Starts supervisord, apart from this terminal, and with it every wanted program. Raises ComponentFailed."""
        self._paths.run.mkdir(parents=True, exist_ok=True)
        self._paths.logs.mkdir(parents=True, exist_ok=True)
        self._write_configuration(programs, self._place_socket())
        command = [
            sys.executable,
            "-m",
            "operations.embedded.supervisord",
            "--nodaemon",
            "-c",
            str(self._configuration),
        ]
        # Held back: a process that has not yet got its environment could not be found and ended.
        with held_back(), (self._paths.logs / "supervisor.out").open("ab") as output:
            self._daemon = subprocess.Popen(
                command,
                # Supervisord reads its configuration in the locale's encoding; it was written in this one.
                env={**environment, "PYTHONUTF8": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._paths.root,
            )
        daemon = self._daemon
        tenacity.Retrying(
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(20),
            retry=tenacity.retry_if_result(lambda settled: not settled),
            retry_error_callback=lambda _: None,
        )(lambda: daemon.poll() is not None or self.is_running())
        if daemon.poll() is not None or not self.is_running():
            raise ComponentFailed(f"the supervisor did not start; see {self._paths.logs / 'supervisor.out'}")

    def is_running(self) -> bool:
        """Whether it answers, and is not about to end."""
        try:
            self._call("supervisor.getState")
        except _NO_ANSWER:
            return False
        return True

    def processes(self) -> tuple[ProcessState, ...]:
        """Every supervised process; none where the supervisor does not run."""
        try:
            found = self._call("supervisor.getAllProcessInfo")
        except _NO_ANSWER:
            return ()
        return tuple(map(self._state, found))

    def _state(self, entry: Mapping[str, Any]) -> ProcessState:
        name, logs = entry["name"], self._paths.logs
        found = obituary(logs / _LOG, name, now=datetime.now(UTC))
        return ProcessState(
            name=name,
            state=entry["statename"],
            pid=entry["pid"] or None,
            up_seconds=max(0, entry["now"] - entry["start"]) if entry["pid"] else 0,
            complaint=entry["spawnerr"],
            obituary=found,
            last_words=last_words(logs / f"{name}.log") if found.deaths else "",
        )

    def programs(self) -> tuple[str, ...]:
        """The names of what it was last started with."""
        text = configparser.RawConfigParser()
        text.read(self._configuration, encoding="utf-8")
        return tuple(name.removeprefix("program:") for name in text.sections() if name.startswith("program:"))

    def start_program(self, name: str) -> None:
        """Starts one program that is not wanted from the beginning; nothing where it runs already."""
        with suppress(*_NO_ANSWER):
            self._call("supervisor.startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Asks one program to end, and does not wait; nothing where it does not run."""
        with suppress(*_NO_ANSWER):
            self._call("supervisor.stopProcess", name, False)

    def stop(self, *, seconds: float = 12) -> None:
        """Asks every process to end, then the supervisor; kills after `seconds` what is still there.

        An interruption cuts the waiting short, not the killing. Raises ComponentFailed for what cannot be killed.
        """
        try:
            self._end_in_order(time.monotonic() + seconds)
        finally:
            with held_back():
                self._kill()
                self._forget_socket()

    def _end_in_order(self, deadline: float) -> None:
        supervised = self.is_running()
        # All at once: asked to shut down, supervisord ends one program after the other, a second or more for each.
        while time.monotonic() < deadline and (left := [found for found in self.processes() if found.pid]):
            for process in left:
                if process.state != "STOPPING":
                    self.stop_program(process.name)
            time.sleep(0.1)
        with suppress(*_NO_ANSWER):
            self._call("supervisor.shutdown")
        if not supervised:  # it died and left its processes behind
            for orphan in self.leftovers():
                with suppress(psutil.NoSuchProcess):
                    orphan.terminate()
        # Not psutil.wait_procs: it waits for zombies too, which stay where process 1 (of a container) waits for none.
        while time.monotonic() < deadline and self.leftovers():
            time.sleep(0.1)

    def _kill(self) -> None:
        deadline = time.monotonic() + 5
        while alive := self.leftovers():
            if time.monotonic() > deadline:
                pids = ", ".join(str(process.pid) for process in alive)
                raise ComponentFailed(f"these processes do not end, even when killed: {pids}. Look at them with: ps")
            for process in alive:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.05)
        if self._daemon is not None:
            # A child that is ending has lost its environment before it can be waited for.
            self._daemon.wait(timeout=5)

    def leftovers(self) -> tuple[psutil.Process, ...]:
        """Every process of this pipeline, found by its environment, supervised or not."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            ours = environment.get("PIPELINE_STATE") == str(self._paths.root) and SESSION_VARIABLE in environment
            if ours and process.pid != os.getpid():
                found.append(process)
        return tuple(found)

    def session(self) -> str | None:
        """The session that its processes belong to; None where none runs."""
        for process in self.leftovers():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                if session := current_session(process.environ()):
                    return session
        return None

    def _place_socket(self) -> Path:
        """Where supervisord shall make its socket."""
        self._forget_socket()
        if len(os.fsencode(self._socket)) <= _LONGEST_SOCKET_PATH:
            return self._socket
        place = Path(tempfile.mkdtemp(prefix="pipeline-")) / "supervisor.sock"
        self._socket.symlink_to(place)
        return place

    def _forget_socket(self) -> None:
        place = Path(os.path.realpath(self._socket))
        if self._socket.is_symlink():
            with suppress(FileNotFoundError):
                place.unlink(missing_ok=True)
                place.parent.rmdir()
        self._socket.unlink(missing_ok=True)

    def _call(self, method: str, *arguments: str | bool) -> Any:  # the answers of XML-RPC have no type
        with xmlrpc.client.ServerProxy(
            "http://supervisor", transport=UnixTransport(os.path.realpath(self._socket))
        ) as server:
            return getattr(server, method)(*arguments)

    def _write_configuration(self, programs: Sequence[Program], socket_path: Path) -> None:
        text = configparser.RawConfigParser()
        text["unix_http_server"] = {"file": _escape(socket_path), "chmod": "0600"}
        text["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        text["supervisord"] = {
            # Relative to the state folder, where it is started: it expands the percent signs of some paths twice.
            "logfile": f"logs/{_LOG}",
            "pidfile": "run/supervisord.pid",
            "umask": "077",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        }
        for order, program in enumerate(programs):
            command = (*(("nice", "-n", str(program.nice)) if program.nice else ()), *program.command)
            text[f"program:{program.name}"] = {
                "command": _escape(shlex.join(command)),
                "priority": str(order),
                "autostart": str(program.wanted).lower(),
                "autorestart": "true",
                "startsecs": str(program.start_seconds),
                "startretries": str(program.start_retries),
                "stopwaitsecs": str(program.stop_seconds),
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": f"logs/{program.name}.log",
                "stdout_logfile_maxbytes": "20MB",
                "stdout_logfile_backups": "3",
            }
        with self._configuration.open("w", encoding="utf-8") as file:
            text.write(file)


def _escape(value: Path | str) -> str:
    """`value` as supervisord reads it: it expands percent signs. For a comment it takes `;` and `#` after a blank."""
    return str(value).replace("%", "%%")
