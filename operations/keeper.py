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
from operations.refusals import read_refusal
from operations.rules.switch import Switch
from operations.topics import create_topics
from streaming.deployments import Deployment
from streaming.running_jobs import NoJobManager, RunningJob, running_jobs

log = structlog.get_logger()

_LOOK_SECONDS = 2.0
_GLANCE_SECONDS = 0.25
_REFUSED_SECONDS = 15.0


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
    not_before: float = field(init=False, default=0.0)

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
        missing = [f"{names.ALERTING_JOB}@{deployment.number}" for deployment in deployments]
        if names.LAKEHOUSE_JOB not in {job.name for job in alive}:
            missing.append(names.LAKEHOUSE_JOB)
        if missing and time.monotonic() >= self.not_before:
            log.info("submitting", jobs=missing)
            process = subprocess.Popen([sys.executable, "-m", "operations.submission", *missing])
            self.client = Submission(process, deployments)

    def _note_end(self, client: "Submission") -> None:
        exit_code = client.process.returncode
        if exit_code == 0:
            return
        log.error("submission failed", exit_code=exit_code)
        # What refuses a job changes slowly; a part that is starting is there soon.
        if exit_code == NotRunning.exit_code:
            self.not_before = time.monotonic() + _LOOK_SECONDS
            return
        self.not_before = time.monotonic() + _REFUSED_SECONDS
        reasons = {job: read_refusal(self.settings.paths.root, job) for job in names.JOBS}
        if reasons[names.LAKEHOUSE_JOB] and not reasons[names.ALERTING_JOB]:
            return
        for deployment in client.deployments:
            if deployment.state == "wanted" and not deployment.cold:
                reason = reasons[names.ALERTING_JOB] or f"exit code {exit_code}"
                words = f"its job could not be submitted ({reason}); see: pipeline logs {names.JOB_KEEPER}"
                self.switch.refused(deployment, words)

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
