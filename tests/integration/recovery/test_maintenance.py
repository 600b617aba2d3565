"""Maintenance beside a live writer: no row lost or doubled, no job restarted, and a restore still works.

MAINTENANCE_SECONDS sets how long it goes on (default 25); alert latencies meanwhile are `benchmarks/latency.py`'s.
"""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from contracts import tables
from contracts.addresses import Addresses
from lake.catalog import open_catalog
from lake.compaction import Compaction, compact
from lake.expiry import expire
from lake.orphans import remove_orphans
from tests.integration import accounting
from tests.integration.recovery.conftest import Patient

SECONDS = float(os.environ.get("MAINTENANCE_SECONDS", "25"))
_PAUSE_SECONDS = 5
# Far harsher than the schedule: what is a minute old is forgotten, what is two minutes old removed.
_FORGET, _GUARD = timedelta(minutes=1), timedelta(minutes=2)

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420 + int(SECONDS))]


@dataclass
class Done:
    """What all rounds did."""

    compaction: Compaction = field(default_factory=Compaction)
    forgotten: int = 0
    removed: int = 0


def maintain(addresses: Addresses) -> Done:
    """One round over every table, as the three assets do it."""
    done, now = Done(), datetime.now(UTC)
    with open_catalog(addresses) as catalog:
        for definition in tables.all_tables():
            table = catalog.load_table(definition.identifier)
            if definition in tables.appended_tables():
                done.compaction += compact(table, definition)
                table.refresh()
            expiry = expire(table, older_than=now - _FORGET, keep=5, read=(), give_up=now)
            done.forgotten += expiry.snapshots_before - expiry.snapshots_after
            table.refresh()
            done.removed += remove_orphans(table, guard=_GUARD, now=now).files
    return done


def test_maintenance_beside_a_live_writer_loses_doubles_and_restarts_nothing(pipeline: Patient) -> None:
    total, before = Done(), pipeline.restarts()
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        done = maintain(pipeline.addresses)
        total.compaction += done.compaction
        total.forgotten += done.forgotten
        total.removed += done.removed
        time.sleep(_PAUSE_SECONDS)
    assert total.compaction.files_after < total.compaction.files_before
    assert total.forgotten > 0
    assert pipeline.restarts() == before
    until = accounting.cut(pipeline.addresses)
    accounting.assert_one_fate_each(pipeline.addresses, until)
    accounting.assert_acknowledged_are_there(pipeline.addresses, pipeline.paths.generator / "ledger", until)
    print(f"{total} beside {sum(until.values())} records")  # noqa: T201  # shown with -s: the figures of a long run


def test_restore_from_a_checkpoint_older_than_all_maintenance_loses_and_doubles_nothing(pipeline: Patient) -> None:
    pipeline.command("down")
    forgotten = 0
    with open_catalog(pipeline.addresses) as catalog:
        for definition in tables.all_tables():
            table, now = catalog.load_table(definition.identifier), datetime.now(UTC)
            compact(table, definition)
            table.refresh()
            expiry = expire(table, older_than=now, keep=1, read=(), give_up=now)
            forgotten += expiry.snapshots_before - expiry.snapshots_after
            table.refresh()
            remove_orphans(table, guard=timedelta(0), now=now)
    assert forgotten > 0
    pipeline.command("up", "--detach")
    pipeline.await_rows_sent_after(datetime.now(UTC))
    until = accounting.cut(pipeline.addresses)
    accounting.assert_one_fate_each(pipeline.addresses, until)
    accounting.assert_acknowledged_are_there(pipeline.addresses, pipeline.paths.generator / "ledger", until)
