"""Runs the processes of the embedded pipeline under supervisord: it restarts what dies, with backoff, and rotates the logs.

This module writes its configuration, starts it, talks to it, and ends it. What the processes are: `stack.py`.
"""

import configparser
import hashlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import tenacity

from contracts.errors import ComponentFailed
from contracts.paths import StatePaths

# Marks every process of a pipeline; a shell that took the addresses from `pipeline env` has no session.
SESSION_VARIABLE = "PIPELINE_SESSION"
_LONGEST_SOCKET_PATH = 100  # sockaddr_un holds 108 bytes, with the suffix supervisord adds while binding


@dataclass(frozen=True)
class Program:
    """One supervised process. `nice` lowers its priority; `wanted` starts it with the pipeline."""

    name: str
    command: tuple[str, ...]
    nice: int = 0
    wanted: bool = True
    stop_seconds: int = 8


@dataclass(frozen=True)
class ProcessState:
    """What supervisord knows of a process. `state` is its word (STARTING, RUNNING, BACKOFF, FATAL, ...); times in seconds."""

    name: str
    state: str
    pid: int | None
    up_seconds: int
    complaint: str


class Supervisor:
    """The supervisor of one state folder."""

    def __init__(self, paths: StatePaths) -> None:
        self._paths = paths
        self._configuration = paths.run / "supervisord.conf"
        socket_path = paths.run / "supervisor.sock"
        if len(str(socket_path)) > _LONGEST_SOCKET_PATH:
            digest = hashlib.sha256(str(paths.root).encode()).hexdigest()[:16]
            socket_path = Path(tempfile.gettempdir()) / f"pipeline-{digest}.sock"
        self._socket = socket_path

    def start(self, programs: Sequence[Program], environment: Mapping[str, str]) -> None:
        """Starts supervisord, apart from this terminal, and with it every wanted program. Raises ComponentFailed."""
        self._paths.run.mkdir(parents=True, exist_ok=True)
        self._paths.logs.mkdir(parents=True, exist_ok=True)
        self._write_configuration(programs)
        command = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(self._configuration)]
        with (self._paths.logs / "supervisor.out").open("ab") as output:
            daemon = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._paths.root,
            )
        tenacity.Retrying(
            wait=tenacity.wait_fixed(0.1),
            stop=tenacity.stop_after_delay(20),
            retry=tenacity.retry_if_result(lambda settled: not settled),
            retry_error_callback=lambda _: None,
        )(lambda: daemon.poll() is not None or self.is_running())
        if daemon.poll() is not None or not self.is_running():
            raise ComponentFailed(f"the supervisor did not start; see {self._paths.logs / 'supervisor.out'}")

    def is_running(self) -> bool:
        """Whether it answers."""
        try:
            self._call("supervisor.getState")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def processes(self) -> tuple[ProcessState, ...]:
        """Every supervised process; none where the supervisor does not run."""
        try:
            found = self._call("supervisor.getAllProcessInfo")
        except (OSError, http.client.HTTPException):
            return ()
        return tuple(
            ProcessState(
                name=entry["name"],
                state=entry["statename"],
                pid=entry["pid"] or None,
                up_seconds=max(0, entry["now"] - entry["start"]) if entry["pid"] else 0,
                complaint=entry["spawnerr"],
            )
            for entry in found
        )

    def start_program(self, name: str) -> None:
        """Starts one program that is not wanted from the beginning."""
        self._call("supervisor.startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Asks one program to end, and does not wait."""
        with suppress(xmlrpc.client.Fault):  # it was not running
            self._call("supervisor.stopProcess", name, False)

    def stop(self, *, seconds: float = 12) -> None:
        """Ends every process, then the supervisor; kills after `seconds` what is still there."""
        family = self._family()
        with suppress(OSError, http.client.HTTPException, xmlrpc.client.Fault):
            self._call("supervisor.shutdown")
        _, alive = psutil.wait_procs(family, timeout=seconds)
        # A process that was orphaned by an earlier crash has no supervisor to end it.
        alive = sorted({*alive, *self.leftovers()}, key=lambda process: process.pid)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(alive, timeout=5)
        self._socket.unlink(missing_ok=True)

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

    def _family(self) -> list[psutil.Process]:
        try:
            pid = int((self._paths.run / "supervisord.pid").read_text())
            leader = psutil.Process(pid)
            if "supervisor.supervisord" not in leader.cmdline():
                return []
            return [leader, *leader.children(recursive=True)]
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return []

    def _call(self, method: str, *arguments: str | bool) -> Any:  # the answers of XML-RPC have no type
        with xmlrpc.client.ServerProxy("http://supervisor", transport=_UnixTransport(str(self._socket))) as server:
            return getattr(server, method)(*arguments)

    def _write_configuration(self, programs: Sequence[Program]) -> None:
        text = configparser.RawConfigParser()
        text["unix_http_server"] = {"file": str(self._socket), "chmod": "0600"}
        text["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        text["supervisord"] = {
            "logfile": _escape(self._paths.logs / "supervisor.log"),
            "pidfile": _escape(self._paths.run / "supervisord.pid"),
            "directory": _escape(self._paths.root),
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
                "startsecs": "3",
                # The wait before the next start grows by a second each time: this is 20 minutes of trying.
                "startretries": "50",
                "stopwaitsecs": str(program.stop_seconds),
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": _escape(self._paths.logs / f"{program.name}.log"),
                "stdout_logfile_maxbytes": "20MB",
                "stdout_logfile_backups": "3",
            }
        with self._configuration.open("w", encoding="utf-8") as file:
            text.write(file)


def _escape(value: Path | str) -> str:
    """Supervisord expands percent signs."""
    return str(value).replace("%", "%%")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over supervisord's socket; its own client module would import its whole configuration parser."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> _UnixConnection:
        return _UnixConnection(self._path)
