"""The job keeper, a supervised process: makes the topics, then sees to it that both Flink jobs run.

A session cluster without a quorum forgets its jobs when its JobManager dies. The keeper notices, and submits what is
missing from its newest retained checkpoint. It never touches a job that Flink still knows: restarting a failed task
is Flink's own business.
"""

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import structlog
import tenacity
from confluent_kafka import KafkaException

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning, PipelineError
from contracts.logs import configure_logs
from contracts.rest import rest_client
from contracts.settings import Settings, load_settings
from operations.embedded.takeover import Orphanhood, take_over
from operations.resume import lakehouse_restore_point
from operations.rules.switch import Switch
from operations.topics import create_topics
from streaming.checkpoints import (
    RestorePoint,
    flink_uri,
    link_missing_files,
    newest_restore_point,
    remove_old_savepoints,
)
from streaming.deployments import Deployment
from streaming.running_jobs import NoJobManager, RunningJob, running_jobs

log = structlog.get_logger()

_LOOK_SECONDS = 2.0
_GLANCE_SECONDS = 0.25


@dataclass(frozen=True)
class Submission:
    """A client under way, and the rule books whose jobs it submits."""

    process: "subprocess.Popen[bytes]"
    deployments: tuple[Deployment, ...]


@dataclass
class Keeper:
    """Keeps the jobs of one pipeline running."""

    addresses: Addresses
    settings: Settings
    switch: Switch = field(init=False)
    client: Submission | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        flink = rest_client(self.addresses.flink_rest_url, timeout=5)
        self.switch = Switch(self.addresses, self.settings, flink)

    def run(self) -> None:
        """Prepares, submits, watches; returns when it has started what replaces the whole pipeline, itself included."""
        orphaned = Orphanhood()
        with suppress(NotRunning):  # where new rules begin is asked of Kafka, which may not answer yet
            self._submit(self._alive())
        await_broker = tenacity.Retrying(
            wait=tenacity.wait_fixed(0.25), retry=tenacity.retry_if_exception_type(KafkaException)
        )
        await_broker(create_topics, self.addresses.kafka, self.settings.kafka, timeout=2)
        log.info("topics are there")
        while not orphaned:
            # Neither Flink nor Kafka need answer at every moment: the next look finds them again.
            with suppress(NotRunning, httpx.HTTPError):
                self.look()
            self._wait()
        take_over(self.addresses, self.settings).wait()

    def _alive(self) -> tuple[RunningJob, ...]:
        """The jobs that Flink runs; none without a JobManager, so that the client plans while that one starts.

        Before it submits, the client looks once more. A JobManager that is only slow may complete another checkpoint;
        none is submitted from an older one, as the answer is awaited (NotRunning).
        """
        try:
            return running_jobs(self.switch.flink)
        except NoJobManager:
            return ()

    def look(self) -> None:
        """One look at what runs, and what follows. Raises NotRunning, httpx.HTTPError where Flink does not answer."""
        if self.client is not None and self.client.process.poll() is not None:
            self._note_end(self.client)
            self.client = None
        alive = self._alive()
        if self.client is None:
            self._submit(alive)
        self.switch.advance(alive)

    def _submit(self, alive: tuple[RunningJob, ...]) -> None:
        """Starts the client that submits what should run and does not, each job from where it stopped."""
        deployments = self.switch.lacking(alive)
        arguments = [self._alerting(deployment) for deployment in deployments]
        if names.LAKEHOUSE_JOB not in {job.name for job in alive}:
            point = lakehouse_restore_point(self.addresses, self.settings)
            arguments.append(self._argument(names.LAKEHOUSE_JOB, names.LAKEHOUSE_JOB, point))
        if arguments:
            log.info("submitting", jobs=arguments)
            process = subprocess.Popen([sys.executable, "-m", "streaming.submit", *arguments])
            self.client = Submission(process, deployments)

    def _alerting(self, deployment: Deployment) -> str:
        point = newest_restore_point(
            self.settings.paths.checkpoints, names.ALERTING_JOB, deployment.fingerprint or "unknown"
        )
        return self._argument(f"{names.ALERTING_JOB}@{deployment.number}", names.ALERTING_JOB, point)

    def _argument(self, what: str, job: str, point: RestorePoint | None) -> str:
        """Return what the client is told of a job that goes on from `point`, which is made ready for it."""
        if point is None:
            return what
        if linked := link_missing_files(point):
            log.info("files of a savepoint linked into a checkpoint that names them", job=job, files=len(linked))
        if removed := remove_old_savepoints(self.settings.paths.checkpoints, job, point.fingerprint):
            log.info("old savepoints removed", job=job, savepoints=[each.name for each in removed])
        return f"{what}={flink_uri(point.path)}"

    def _note_end(self, client: "Submission") -> None:
        if client.process.returncode == 0:
            return
        log.error("submission failed", exit_code=client.process.returncode)
        for deployment in client.deployments:
            if deployment.state == "wanted" and not deployment.cold:
                reason = f"its job could not be submitted (exit code {client.process.returncode}); see: pipeline logs"
                self.switch.refused(deployment, f"{reason} {names.JOB_KEEPER}")
        time.sleep(_LOOK_SECONDS)

    def _wait(self) -> None:
        """Until the next look, which comes sooner while a rule book is to take over."""
        deadline = time.monotonic() + _LOOK_SECONDS
        while time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
            if self.switch.deployments.wanted() is not None:
                return


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
