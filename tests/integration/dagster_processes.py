"""Dagster's three processes as `pipeline up` starts them, beside tables that no stream writes to."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from contracts.paths import PROJECT, StatePaths
from contracts.settings import Settings
from operations.embedded.stack import Stack
from operations.ports import Ports, free_ports
from tests.lake_tables import Lake

# Shorter than the supervisor's 8: nothing of these is needed afterwards.
_STOP_SECONDS = 4


@contextmanager
def control_plane(lake: Lake, *, read_only: bool = False) -> Iterator[str]:
    """The webserver's address, once the three are started; their output lies in the state's log folder."""
    paths = StatePaths(lake.state)
    paths.logs.mkdir()
    paths.dagster.mkdir()
    shutil.copy(PROJECT / "config" / "dagster.yaml", paths.dagster)
    settings = Settings(state=lake.state)
    settings = settings.model_copy(update={"dagster": settings.dagster.model_copy(update={"read_only": read_only})})
    ports = Ports(*free_ports(6))
    environment = {
        **os.environ,
        **lake.addresses.to_environment(),
        "DAGSTER_HOME": str(paths.dagster),
        "DAGSTER_CODE_HOST": settings.dagster.code_host,
        "DAGSTER_CODE_PORT": str(ports.dagster_code),
    }
    # Daemon and webserver would each make the databases, at once: `pipeline up` makes them first too.
    subprocess.run([sys.executable, "-m", "operations.embedded.storage"], cwd=PROJECT, env=environment, check=True)
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(_end, processes)
        for program in Stack(settings, ports, "test", generator=False).control_plane():
            log = stack.enter_context((paths.logs / f"{program.name}.log").open("wb"))
            processes.append(
                subprocess.Popen(program.command, cwd=PROJECT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
        yield f"http://127.0.0.1:{ports.dagster}"


def _end(processes: "list[subprocess.Popen[bytes]]") -> None:
    """All at once, as the supervisor does: each waits for the others' connections otherwise."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
