"""One pipeline under constant traffic of its own generator, for the tests of this folder, which disturb it in turn.

It is started once and bears everything, file by file; at the end its alerts are compared with those of an undisturbed
run. The random moments come from a seed that a failing test prints; RECOVERY_SEED repeats them.
"""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import StatePaths
from contracts.rest import rest_client
from lake.catalog import open_catalog
from lake.snapshots import current_snapshot
from operations.embedded.supervision import Supervisor
from operations.status import topic_statuses
from pipeline_assets.lib.flink_rest import job_statuses
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.config_copies import copy_of_config, replaced
from tests.integration import accounting
from tests.integration.accounting import Cut
from tests.integration.conftest import CommandLine, command_line

# Enough that each checkpoint covers hundreds of records, few enough that two cores bear another pipeline beside it.
RATE = 100
SEED = int(os.environ.get("RECOVERY_SEED", secrets.randbelow(2**32)))
# The warehouse is a disk of its own, which can be filled: room for the tables and for one metadata file per commit.
_WAREHOUSE_MB = 512
# A commit that is missing for so long is told: shorter than by default, since tests wait for it.
_STALL_SECONDS = 12
# From the end of a disturbance until a commit of what was read after it. Another pipeline runs on the same two cores.
RECOVERY_SECONDS = 90
# Where the supervisor was killed everything starts again, Dagster included: twice a start, 80 s on two slow cores.
TAKEOVER_SECONDS = 180


@dataclass
class Patient:
    """The pipeline, and by disturbance the part of the log that it fell into."""

    command: CommandLine
    paths: StatePaths
    episodes: list[tuple[str, Cut]] = field(default_factory=list)

    @property
    def addresses(self) -> Addresses:
        """Where it is now."""
        return self.command.addresses()

    @property
    def supervisor(self) -> Supervisor:
        """Its supervisor, as a command finds it."""
        return Supervisor(self.paths)

    def pid(self, component: str) -> int:
        """Of a component that runs, waiting for one that is being started."""
        return accounting.eventually(
            lambda: next((found.pid or 0 for found in self.supervisor.processes() if found.name == component), 0),
            f"{component} does not run",
            seconds=30,
        )

    def kill(self, component: str) -> datetime:
        """Ends it without a word; the time."""
        os.kill(self.pid(component), signal.SIGKILL)
        return datetime.now(UTC)

    def alerts(self) -> int:
        """How many were ever written to the topic."""
        (topic,) = topic_offsets(self.addresses.kafka, (names.ALERT_TOPIC,), timeout=20)
        return topic.written

    def restarts(self) -> dict[str, int]:
        """Return when Flink last restarted each job, in milliseconds since the epoch; 0 if it never did.

        Its metric `numRestarts` may be missing for a minute.
        """
        with rest_client(self.addresses.flink_rest_url, timeout=10) as flink:
            return {
                job.name: int(flink.get(f"/jobs/{job.job_id}").raise_for_status().json()["timestamps"]["RESTARTING"])
                for job in job_statuses(flink, names.JOBS)
            }

    def checkpoints(self, job: str) -> int:
        """Count the checkpoints that are kept of `job`, its savepoints not among them."""
        return len(list((self.paths.checkpoints / job).glob("*/*/chk-*/_metadata")))

    def pids(self) -> tuple[int, ...]:
        """Of every process of this pipeline."""
        return tuple(process.pid for process in self.supervisor.leftovers())

    def kill_supervisor(self) -> datetime:
        """Ends the supervisor, and no process under it, without a word; the time."""
        os.kill(int((self.paths.run / "supervisord.pid").read_text()), signal.SIGKILL)
        return datetime.now(UTC)

    def started_anew(self) -> datetime | None:
        """The time, once a supervisor answers."""
        return datetime.now(UTC) if self.supervisor.is_running() else None

    def assert_recovers(self, disturbance: str, ended: datetime, *, seconds: float = RECOVERY_SECONDS) -> None:
        """Snapshots advance again in time, status is healthy, and every record so far has one fate."""
        started = time.monotonic()
        self.await_commit(seconds=seconds - (datetime.now(UTC) - ended).total_seconds())
        took = (datetime.now(UTC) - ended).total_seconds()
        accounting.await_healthy(self.command)
        until = accounting.cut(self.addresses)
        self.episodes.append((disturbance, until))
        accounting.assert_one_fate_each(self.addresses, until)
        compared = accounting.assert_acknowledged_are_there(self.addresses, self.paths.generator / "ledger", until)
        sys.stdout.write(
            f"{disturbance}: a commit after {took:.1f} s, accounted for after {time.monotonic() - started:.1f} s, "
            f"{sum(until.values())} records, {compared} by the ledger\n"
        )

    def await_commit(self, *, seconds: float = RECOVERY_SECONDS) -> None:
        """Returns when `transactions` has a snapshot of a checkpoint that is not complete yet."""
        complete = max(
            (self.paths.checkpoints / names.LAKEHOUSE_JOB).glob("*/*/chk-*/_metadata"),
            key=lambda metadata: metadata.stat().st_mtime,
        ).parent
        job, number = complete.parent.name, int(complete.name.removeprefix("chk-"))

        def committed() -> bool:
            with open_catalog(self.addresses) as catalog:
                newest = current_snapshot(catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}"))
            if newest is None or newest.flink_checkpoint_id is None:
                return False
            # A job that goes on without state counts from 1 again.
            return newest.flink_job_id != job or newest.flink_checkpoint_id > number

        accounting.eventually(committed, f"no commit of a checkpoint after {complete.name}", seconds=seconds)

    def await_rows_sent_after(self, moment: datetime, *, seconds: float = RECOVERY_SECONDS) -> None:
        """Returns when a transaction sent after `moment` can be queried."""
        accounting.eventually(
            lambda: accounting.sent_since(self.addresses, moment),
            f"no row in transactions of a record sent after {moment:%H:%M:%S}",
            seconds=seconds,
        )

    def await_word(self, word: str, *, seconds: float) -> str:
        """The line of `pipeline status` that has `word` in it, once there is one; the status is unhealthy then."""

        def look() -> str:
            return next((part.detail for part in self.command.status().components if word in part.detail), "")

        accounting.eventually(look, f"no {word!r} in the status", seconds=seconds)
        shown = self.command("status", check=False)
        assert shown.returncode == 10
        return next(line for line in shown.stdout.splitlines() if word in line)

    def await_silence(self) -> None:
        """Ends the traffic; returns when both jobs have read everything and every alert is stored."""
        self.supervisor.stop_program(names.GENERATOR)
        accounting.eventually(
            lambda: next(found.pid is None for found in self.supervisor.processes() if found.name == names.GENERATOR),
            "the generator did not end",
            seconds=30,
        )
        deadline = time.monotonic() + 120
        for _ in range(2):
            # Twice: an alert that comes with the last record read is not in the topic's end of the first look.
            while left := [topic for topic in topic_statuses(self.addresses) if any(topic.lag.values())]:
                assert time.monotonic() < deadline, f"not read, or not covered by a checkpoint: {left}"
                time.sleep(1)

    def assert_alerts_undisturbed(self, folder: Path) -> None:
        """The alerts, each stored once, are those that the rules raise over the finished log in one run.

        Call it when the traffic has ended.
        """
        expected = {row["alert_id"]: row for row in accounting.undisturbed_alerts(self.addresses, folder).to_pylist()}
        sent = accounting.topic_ids(self.addresses)
        sql = "SELECT alert_id, rule_id, source_partition, source_offset FROM alerts"
        accounting.eventually(
            lambda: accounting.ask(self.addresses, sql).num_rows >= len(sent), "alerts not stored", seconds=60
        )
        rows = accounting.ask(self.addresses, sql).to_pylist()
        stored = {row["alert_id"]: row for row in rows}
        assert len(rows) == len(stored), "an alert is stored twice"
        assert {self._where(expected[name]) for name in expected.keys() - stored.keys()} == set(), "missing"
        assert {self._where(stored[name]) for name in stored.keys() - expected.keys()} == set(), "not expected"
        assert sent == expected.keys()
        assert {row["rule_id"] for row in rows} == {"high-value", "rapid-activity", "unusual-hour"}

    def _where(self, alert: dict[str, Any]) -> str:
        """The alert, and the disturbance whose part of the log it belongs to."""
        partition, offset = alert["source_partition"], alert["source_offset"]
        during = next((name for name, until in self.episodes if offset < until[partition]), "after all")
        return f"{alert['rule_id']} at {partition}/{offset} ({during})"


def patient_in(folder: Path, **settings: str) -> CommandLine:
    """The command line of a pipeline whose generator sends `RATE` records a second."""
    config = copy_of_config(folder)
    replaced(config / "generator.yaml", "rate_per_second: 10 ", f"rate_per_second: {RATE} ")
    # What a killed generator has not yet written is missing from the ledger.
    replaced(config / "generator.yaml", "rotate_seconds: 60", "rotate_seconds: 1")
    return command_line(folder / "state", PIPELINE_CONFIG=str(config), **settings)


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Wait for a random moment of the next three seconds, which a checkpoint of either job falls into."""
    random = Random(f"{SEED} {request.node.name}")
    sys.stdout.write(f"RECOVERY_SEED={SEED}\n")  # shown if the test fails
    return lambda: time.sleep(random.uniform(0, 3))


@dataclass(frozen=True)
class SmallDisk:
    """A folder whose `state/lake/warehouse` is a disk of its own, and why it is not if mounting one is not allowed."""

    folder: Path
    refusal: str


@pytest.fixture(scope="package")
def small_disk() -> Iterator[SmallDisk]:
    """Mount a small disk; unmounted after the last test, or by the companion of a run that was killed."""
    folder = Path(tempfile.mkdtemp(prefix="recovery-")).resolve()
    paths = StatePaths(folder / "state")
    paths.warehouse.mkdir(parents=True)
    paths.run.mkdir()
    (paths.run / "pipeline.lock").touch()  # marks the folder as a pipeline's
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_WAREHOUSE_MB}m", "tmpfs", str(paths.warehouse)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    yield SmallDisk(folder, done.stderr.strip() if done.returncode else "")
    if not done.returncode:
        subprocess.run(["umount", "--lazy", str(paths.warehouse)], check=True)


@pytest.fixture(scope="package")
def pipeline(small_disk: SmallDisk) -> Iterator[Patient]:
    """Start the pipeline, and end it after the folder's last test."""
    settings = {"PIPELINE_FLINK__COMMIT_STALL_SECONDS": str(_STALL_SECONDS)}
    command = patient_in(small_disk.folder, **settings)
    try:
        command("up", "--detach")
        patient = Patient(command, StatePaths(command.state))
        patient.await_rows_sent_after(datetime.now(UTC))
        yield patient
    finally:
        command("down", check=False)
        left = command.survivors()
    assert not left, f"processes outlived `pipeline down`: {left}"
