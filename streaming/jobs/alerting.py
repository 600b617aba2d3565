"""The job `alerting`: raw transactions -> rules -> alerts. It never waits for a table."""

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.settings import Flink
from streaming import tables
from streaming.deployments import Begin
from streaming.jobs.plan import JobPlan, Once, job_options, placed
from streaming.rules.book import RuleBook

# From the offsets last committed, or the first ones, and with cold windows.
_ANEW = Begin()


def alerting_job(addresses: Addresses, flink: Flink, book: RuleBook, begin: Begin = _ANEW) -> JobPlan:
    """The plan of the job under the rules of `book`, which judge from `begin` on.

    Raises ConfigError where a rule looks further back than the state of an idle account is surely kept.
    """
    if 2 * book.memory_seconds > flink.state_hours * 3600:
        raise ConfigError(
            "flink.state_hours",
            f"state is dropped after {flink.state_hours} h without a transaction, and a rule looks back "
            f"{book.memory_seconds} s; keep it for twice as long, since records arrive late",
        )
    options = job_options(
        names.ALERTING_JOB,
        flink,
        parallelism=flink.alerting_parallelism,
        checkpoint_ms=flink.alerting_checkpoint_ms,
        buffer_timeout_ms=flink.buffer_timeout_ms,
    )

    def plan(at: Addresses) -> JobPlan:
        return JobPlan(
            name=names.ALERTING_JOB,
            definitions=(
                tables.raw_source(at, group=names.ALERTING_JOB, starts=begin.read_from),
                tables.judged_view(),
                Once(tables.JUDGED, tables.JUDGED_ONCE),
                tables.valid_view(tables.JUDGED_ONCE),
                Once(tables.VALID, tables.VALID_ONCE),
                tables.alert_sink(at),
            ),
            inserts=(f"INSERT INTO {tables.ALERTS_OUT}\n{_judged(book.alerts(tables.VALID_ONCE, 'arrived'), begin)}",),
            options=options,
        )

    return placed(plan, addresses)


def _judged(alerts: str, begin: Begin) -> str:
    """`alerts` without those of records that are only read to warm the windows."""
    if not begin.judge_from:
        return alerts
    branches = " ".join(
        f"WHEN {partition} THEN CAST({offset} AS BIGINT)" for partition, offset in sorted(begin.judge_from.items())
    )
    return f"""SELECT * FROM (
{alerts}
) WHERE source_offset >= CASE source_partition {branches} ELSE CAST(0 AS BIGINT) END"""
