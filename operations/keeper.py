"""The job keeper, a supervised process: makes topics and tables, then sees to it that both Flink jobs run.

A session cluster without a quorum forgets its jobs when its JobManager dies. The keeper notices, and submits what is
missing from its newest retained checkpoint. It never touches a job that Flink still knows: restarting a failed task
is Flink's own business.
"""

import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx
import structlog
import tenacity
from confluent_kafka import KafkaException

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.logs import configure_logs
from contracts.settings import Settings, load_settings
from lake.catalog import open_catalog
from lake.tables import create_tables
from operations.topics import create_topics
from pipeline_assets.lib.flink_rest import job_statuses, taskmanagers
from streaming.checkpoints import newest_restore_point

log = structlog.get_logger()

_LOOK_SECONDS = 2.0


@dataclass
class Keeper:
    """Keeps the jobs of one pipeline running."""

    addresses: Addresses
    settings: Settings
    flink: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.flink = httpx.Client(base_url=self.addresses.flink_rest_url, timeout=5)

    def run(self) -> None:
        """Prepares, submits, watches; returns never."""
        create_tables(open_catalog(self.addresses))
        client = self._submission(names.JOBS)
        await_broker = tenacity.Retrying(
            wait=tenacity.wait_fixed(0.25), retry=tenacity.retry_if_exception_type(KafkaException)
        )
        await_broker(create_topics, self.addresses.kafka_bootstrap_servers, self.settings.kafka, timeout=2)
        log.info("topics and tables are there")
        while True:
            if client is not None and client.poll() is not None:
                if client.returncode != 0:
                    log.error("submission failed", exit_code=client.returncode)
                    time.sleep(_LOOK_SECONDS)
                client = None
            if client is None:
                missing = self._missing()
                client = self._submission(missing) if missing else None
            time.sleep(_LOOK_SECONDS)

    def _missing(self) -> tuple[str, ...]:
        """The jobs that Flink does not know, or knows to have ended; none while it does not answer."""
        try:
            if not taskmanagers(self.flink):
                return ()
            alive = {job.name for job in job_statuses(self.flink, names.JOBS) if not job.ended}
        except NotRunning:
            return ()
        return tuple(name for name in names.JOBS if name not in alive)

    def _submission(self, jobs: tuple[str, ...]) -> "subprocess.Popen[bytes]":
        """Starts the client that submits `jobs`, each from its newest restore point."""
        arguments = []
        for name in jobs:
            point = newest_restore_point(self.settings.paths.checkpoints, name)
            arguments.append(f"{name}={point.path.as_uri()}" if point else name)
        log.info("submitting", jobs=arguments)
        return subprocess.Popen([sys.executable, "-m", "streaming.submit", *arguments])


def main() -> None:
    """Runs the keeper of the pipeline that the environment names."""
    configure_logs("jobs")
    Keeper(Addresses.from_environment(), load_settings()).run()


if __name__ == "__main__":
    main()
