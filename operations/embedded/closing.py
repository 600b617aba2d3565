"""Closes the session's row as the pipeline goes down, beside the end of the processes, which takes as long anyway.

A process of its own does it: its imports take a second or two while the jobs write their savepoints, and where the
catalog is locked it can be ended, so that `pipeline down` never waits for it.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.sessions import SESSION_VARIABLE
from operations.signals import held_back
from pipeline_assets.lib.flink_rest import job_statuses


class Closing:
    """The process for one session. It waits for `count`, and ends with this object's `outcome` or `abandon`."""

    def __init__(self, addresses: Addresses, session: str) -> None:
        # Without the session's mark: it would be ended as one of the pipeline's processes.
        environment = {name: value for name, value in os.environ.items() if name != SESSION_VARIABLE}
        with held_back():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "operations.embedded.closing", session],
                env={**environment, **addresses.to_environment()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def count(self, restarts: int | None) -> None:
        """Everything is committed: the session can be counted. `restarts` as in the row."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has died, and `outcome` tells why
            self._process.stdin.write(json.dumps(restarts) + "\n")
            self._process.stdin.flush()

    def outcome(self, *, seconds: float) -> str:
        """Waits so long; returns why the row is not closed, or nothing where it is."""
        try:
            told, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.abandon()
            return f"it took more than {seconds:.0f} s"
        return told.strip() if self._process.returncode else ""

    def abandon(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.communicate()


def restarts_of(flink: httpx.Client) -> int | None:
    """How often Flink has restarted the jobs; None where it does not say."""
    try:
        return sum(job.restarts or 0 for job in job_statuses(flink, names.JOBS))
    except NotRunning:
        return None


def main() -> int:
    """Closes the row of the session that the argument names, once the restarts are told on standard input."""
    from sqlalchemy.exc import OperationalError

    from lake.catalog import open_catalog
    from lake.sessions import update

    (session,) = sys.argv[1:]
    words = sys.stdin.readline()
    if not words:
        return 0
    addresses = Addresses.from_environment()
    try:
        with open_catalog(addresses) as catalog:
            update(
                catalog, addresses.iceberg_warehouse, session,
                now=datetime.now(UTC), ended=True, restarts=json.loads(words),
            )  # fmt: skip
    except OperationalError as error:
        sys.stdout.write(f"the catalog: {error.orig}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
