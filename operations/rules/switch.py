"""Puts a wanted rule book in force beside the one that runs, and ends that one when the new one has caught up.

Carried out by the job keeper, look by look, from what is written in the state folder and what Flink runs: killed in
the middle, it goes on where it was.

* hot, while the pipeline runs: a second `alerting` job is submitted, which judges what is written from now on, with
  windows warmed from the log. When both jobs have passed the place where it began, the first one is stopped with its
  alerts flushed. In between both judge, so no alert of either book is lost; one that both raise has one id.
* cold, at the start of a pipeline whose rules or plan have changed: the new job judges from where the old one stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import structlog

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.settings import Settings
from operations.flink_jobs import cancel_job, stop_jobs
from operations.rules.beginnings import beginning_at, beginning_at_the_end
from operations.rules.changes import changes_between
from pipeline_assets.lib.kafka_offsets import committed_offsets
from pipeline_assets.lib.skips import passed, read_skips
from streaming import tables
from streaming.checkpoint_positions import newest_readable
from streaming.checkpoints import checkpoint_folder, remove_state
from streaming.deployments import Begin, Deployment, Deployments
from streaming.jobs.catalogue import job_plan
from streaming.rules.book import load_rules, rules_text
from streaming.running_jobs import RunningJob, positions

log = structlog.get_logger()

_STOP_SECONDS = 30.0


@dataclass
class Switch:
    """The deployments of one pipeline, as the keeper sees to them."""

    addresses: Addresses
    settings: Settings
    flink: httpx.Client
    deployments: Deployments = field(init=False)

    def __post_init__(self) -> None:
        self.deployments = Deployments(self.settings.paths.rules)

    def lacking(self, alive: tuple[RunningJob, ...]) -> tuple[Deployment, ...]:
        """The deployments whose job should run and does not, ready to be submitted. Raises NotRunning without Kafka."""
        current, wanted = self.deployments.in_force(), self.deployments.wanted()
        there = {job.fingerprint for job in alive if job.name == names.ALERTING_JOB}
        due = []
        if current and current.fingerprint not in there and not (wanted and wanted.cold):
            if reason := self._why_not_from_its_state(current):
                wanted = self._want_again(current, reason)
            else:
                due.append(current)
        if wanted and wanted.fingerprint not in there:
            due.append(self._begin(wanted, of=current))
        return tuple(due)

    def _begin(self, wanted: Deployment, *, of: Deployment | None) -> Deployment:
        """`wanted` with the place where it begins; one that has its place already keeps it."""
        if wanted.begin is None:
            book, kafka = self.deployments.book(wanted), self.addresses.kafka
            if of is None:  # the first ever: from the first record on, or where a former version stopped
                begin = Begin()
            elif wanted.cold:
                begin = beginning_at(kafka, self._stopped_at(of), book.memory_seconds)
            else:
                begin = beginning_at_the_end(kafka, book.memory_seconds)
            begin = begin.after(self._passed_over())
            wanted = wanted.model_copy(update={"begin": begin})
            log.info("a rule book begins", deployment=wanted.number, begin=begin.model_dump(), after=of and of.number)
        fingerprint = self._fingerprint(wanted)
        return wanted if wanted.fingerprint == fingerprint else self._save(wanted, fingerprint)

    def _stopped_at(self, deployment: Deployment) -> Mapping[int, int]:
        """Return by partition how far its job has judged, as its newest checkpoint or savepoint tells.

        If there is none, as Kafka's consumer group tells, which may lag behind: some records are judged again, and
        their alerts have the ids they had. Raises NotRunning without Kafka.
        """
        if found := self._state_of(deployment):
            return found
        begin = deployment.begin.judge_from if deployment.begin else {}
        group = committed_offsets(self.addresses.kafka, names.ALERTING_JOB, names.RAW_TOPIC)
        return {part: max(begin.get(part, 0), group.get(part, 0)) for part in begin.keys() | group.keys()}

    def _state_of(self, deployment: Deployment) -> Mapping[int, int] | None:
        checkpoints, fingerprint = self.settings.paths.checkpoints, deployment.fingerprint or "unknown"
        found = newest_readable(checkpoints, names.ALERTING_JOB, fingerprint, names.RAW_TOPIC)
        return found[1] if found else None

    def refuse_without_its_state(self, deployment: Deployment) -> None:
        """Raises NotRunning if its job had state when it was to be submitted, and has none any more.

        The next look has its windows warmed from the log; here it would begin with cold ones.
        """
        if deployment.state == "in force" and (reason := self._why_not_from_its_state(deployment)):
            raise NotRunning(f"deployment {deployment.number} cannot go on from its state: {reason}")

    def _why_not_from_its_state(self, deployment: Deployment) -> str | None:
        """Tell why its job cannot go on from its newest checkpoint; None if it can, or never completed one."""
        begin = deployment.begin.judge_from if deployment.begin else {}
        stopped = self._stopped_at(deployment)
        if any(max(stopped.get(part, 0), begin.get(part, 0)) < after for part, after in self._passed_over().items()):
            return "records were passed over"
        if self._state_of(deployment) is None and any(offset > begin.get(part, 0) for part, offset in stopped.items()):
            return "its checkpoints were lost"
        return None

    def _passed_over(self) -> Mapping[int, int]:
        """Return by partition of the raw topic the offset after the last record that a person has passed over."""
        skips = passed(read_skips(self.settings.paths.skips)).get(names.RAW_TOPIC, {})
        return {part: skip.offset + 1 for part, skip in skips.items()}

    def _want_again(self, deployment: Deployment, reason: str) -> Deployment:
        """Want the same rules once more, from where their job stopped, with windows warmed from the log."""
        folder = self.deployments.folder(deployment)
        log.error("alerting begins without state, its windows warmed", deployment=deployment.number, reason=reason)
        return self.deployments.want(load_rules(folder), rules_text(folder), reason=reason, cold=True)

    def _fingerprint(self, deployment: Deployment) -> str:
        plan = job_plan(names.ALERTING_JOB, self.addresses, self.settings, deployment)
        return plan.fingerprint

    def _save(self, deployment: Deployment, fingerprint: str) -> Deployment:
        return self.deployments.save(deployment.model_copy(update={"fingerprint": fingerprint}))

    def refused(self, deployment: Deployment, reason: str) -> None:
        """Notes that a wanted one could not be submitted; the one in force goes on."""
        log.error("a rule book is not put in force", deployment=deployment.number, reason=reason)
        self.deployments.save(deployment.model_copy(update={"failure": reason}))

    def advance(self, alive: tuple[RunningJob, ...]) -> None:
        """Lets the wanted one take over where it may. Raises NotRunning, httpx.HTTPError where Flink is gone."""
        self._end_the_refused(alive)
        self._forget_the_ended()
        wanted = self.deployments.wanted()
        new = self._job_of(wanted, alive)
        if wanted is None or wanted.begin is None or new is None or not new.running:
            return
        current = self.deployments.in_force()
        old = self._job_of(current, alive)
        if not wanted.cold and current is not None:
            if old is None or not (
                self._has_warmed(new, wanted.begin) and self._has_judged(old, current, wanted.begin)
            ):
                return
            # With a savepoint nobody needs: only a job that is stopped so has sent every alert of what it read.
            if not stop_jobs(self.flink, self.settings.paths.checkpoints, seconds=_STOP_SECONDS, only={old.job_id}):
                return
        self.deployments.take_over(wanted)
        log.info("a rule book is in force", deployment=wanted.number)
        self._forget_the_ended()

    def _forget_the_ended(self) -> None:
        """Removes the checkpoints of rule books that have ended, those also that an interrupted look has left."""
        self.deployments.end_all_but_the_newest()
        ended, needed = set[str | None](), set[str | None]([None])
        for deployment in self.deployments.all():
            (ended if deployment.state == "ended" else needed).add(deployment.fingerprint)
        for fingerprint in ended - needed:
            folder = checkpoint_folder(self.settings.paths.checkpoints, names.ALERTING_JOB, f"{fingerprint}")
            if folder.exists():
                remove_state(folder)

    def _end_the_refused(self, alive: tuple[RunningJob, ...]) -> None:
        failed, due = set[str | None](), set[str | None]([None])
        for deployment in self.deployments.all():
            # The same rules deployed again have the plan of the deployment that failed.
            (failed if deployment.state == "failed" else due).add(deployment.fingerprint)
        for job in alive:
            if job.name == names.ALERTING_JOB and job.fingerprint in failed - due:
                cancel_job(self.flink, job.job_id)

    def _job_of(self, deployment: Deployment | None, alive: tuple[RunningJob, ...]) -> RunningJob | None:
        if deployment is None or deployment.fingerprint is None:
            return None
        return next((job for job in alive if job.fingerprint == deployment.fingerprint), None)

    def _has_warmed(self, job: RunningJob, begin: Begin) -> bool:
        """Whether the new job has read every record that it reads for its windows alone."""
        read = positions(self.flink, job.job_id, tables.RAW)
        return all(
            begin.read_from.get(part, 0) >= offset or read.get(part, 0) >= offset
            for part, offset in begin.judge_from.items()
        )

    def _has_judged(self, job: RunningJob, deployment: Deployment, begin: Begin) -> bool:
        """Whether the old job has read every record that the new one does not judge."""
        read = positions(self.flink, job.job_id, tables.RAW)
        short = {part: offset for part, offset in begin.judge_from.items() if read.get(part, 0) < offset}
        if not short or any(part in read for part in short):
            return not short
        # A job that was restored and has read nothing since shows no position: its checkpoints do.
        stopped = self._stopped_at(deployment)
        return all(stopped.get(part, 0) >= offset for part, offset in short.items())


def want_what_is_configured(settings: Settings, nowhere: Addresses, *, keep_rules: bool = False) -> None:
    """Before a start: wants the configured rules where none are in force, they differ, or their plan does.

    With `keep_rules` those in force count as the configured ones. Raises ConfigError for a bad rule file.
    """
    deployments = Deployments(settings.paths.rules)
    current, waiting = deployments.in_force(), deployments.wanted()
    folder = deployments.folder(current) if keep_rules and current else None
    text, book = rules_text(folder), load_rules(folder)
    if waiting is not None and waiting.begin is not None and not changes_between(deployments.book(waiting), book):
        return  # it was about to take over, and goes on
    if current is None:
        deployments.want(book, text, reason="first start", cold=True)
    elif changes_between(deployments.book(current), book):
        deployments.want(book, text, reason="rules changed", cold=True)
    elif job_plan(names.ALERTING_JOB, nowhere, settings, current).fingerprint != current.fingerprint:
        deployments.want(book, text, reason="contract, settings or version changed", cold=True)
