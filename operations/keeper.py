"""The job keeper, a supervised process: makes the topics, then sees to it that both Flink jobs run.

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
from contracts.errors import NotRunning, PipelineError
from contracts.logs import configure_logs
from contracts.settings import Settings, load_settings
from operations.embedded.takeover import Orphanhood, take_over
from operations.resume import restore_point_of
from operations.topics import create_topics
from pipeline_assets.lib.flink_rest import job_statuses
from streaming.checkpoints import flink_uri

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
        """Prepares, submits, watches; returns when it has started what replaces the whole pipeline, itself included."""
        orphaned = Orphanhood()
        client: subprocess.Popen[bytes] | None = self._submission(self._missing(unless_known=names.JOBS))
        await_broker = tenacity.Retrying(
            wait=tenacity.wait_fixed(0.25), retry=tenacity.retry_if_exception_type(KafkaException)
        )
        await_broker(create_topics, self.addresses.kafka_bootstrap_servers, self.settings.kafka, timeout=2)
        log.info("topics are there")
        while not orphaned:
            if client is not None and client.poll() is not None:
                if client.returncode != 0:
                    log.error("submission failed", exit_code=client.returncode)
                    time.sleep(_LOOK_SECONDS)
                client = None
            if client is None:
                client = self._submission(self._missing(unless_known=()))
            time.sleep(_LOOK_SECONDS)
        take_over(self.addresses, self.settings.paths).wait()

    def _missing(self, *, unless_known: tuple[str, ...]) -> tuple[str, ...]:
        """The jobs that Flink does not know, or knows to have ended; `unless_known` while Flink does not answer.

        At the start that is all of them: the client plans while Flink starts, and looks once more before it submits.
        """
        try:
            alive = {job.name for job in job_statuses(self.flink, names.JOBS) if not job.ended}
        except NotRunning:
            return unless_known
        return tuple(name for name in names.JOBS if name not in alive)

    def _submission(self, jobs: tuple[str, ...]) -> "subprocess.Popen[bytes] | None":
        """Starts the client that submits `jobs`, if any, each from where it stopped."""
        if not jobs:
            return None
        arguments = [self._argument(name) for name in jobs]
        log.info("submitting", jobs=arguments)
        return subprocess.Popen([sys.executable, "-m", "streaming.submit", *arguments])

    def _argument(self, name: str) -> str:
        point = restore_point_of(name, self.addresses, self.settings)
        return f"{name}={flink_uri(point.path)}" if point else name


def main() -> None:
    """Runs the keeper of the pipeline that the environment names."""
    configure_logs("jobs")
    try:
        Keeper(Addresses.from_environment(), load_settings()).run()
    except PipelineError as error:
        log.error("the jobs are not kept", error=type(error).__name__, reason=str(error))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
