"""What becomes of a pipeline whose supervisor was killed: one of its processes notices, and starts everything anew.

The others live on for a moment, but nobody restarts them, and what they print breaks their pipes. The job keeper looks
for it, as it is always there. Everything is ended and started again by `pipeline up`, at the same addresses; the jobs
go on from their newest checkpoints.
"""

import os
import subprocess
import sys
from urllib.parse import urlsplit

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from contracts.settings import Settings
from operations.embedded.supervision import Supervisor


class Orphanhood:
    """Whether the process that started this one has died since this object was made."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    def __bool__(self) -> bool:
        return os.getppid() != self._parent


def take_over(addresses: Addresses, settings: Settings) -> "subprocess.Popen[bytes]":
    """Starts `pipeline up` for the state folder, in a session of its own: it will end this process too.

    It keeps the marks of this pipeline's processes in its environment, so that a `pipeline down` ends it with them.
    """
    paths = settings.paths
    generator = () if names.GENERATOR in Supervisor(paths).programs() else ("--no-generator",)
    with (paths.logs / "takeover.out").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "operations.cli", "up", "--detach", "--keep-rules", *generator],
            env={**os.environ, **same_ports(addresses, settings)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=PROJECT,
        )


def same_ports(addresses: Addresses, settings: Settings) -> dict[str, str]:
    """Settings for the ports that clients know; a port chosen by chance would otherwise be another one now."""
    ports = {"PIPELINE_DAGSTER__PORT": str(urlsplit(addresses.dagster_url).port)}
    if names.BROKER not in settings.elsewhere:
        ports["PIPELINE_KAFKA__PORT"] = addresses.kafka_bootstrap_servers.rpartition(":")[2]
    if names.JOBMANAGER not in settings.elsewhere:
        ports["PIPELINE_FLINK__REST_PORT"] = str(urlsplit(addresses.flink_rest_url).port)
    return ports
