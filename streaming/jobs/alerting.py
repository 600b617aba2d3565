"""The job `alerting`: raw transactions -> rules -> alerts. It never waits for a table."""

from contracts import names
from contracts.addresses import Addresses
from contracts.settings import Flink
from streaming import tables
from streaming.jobs.plan import JobPlan, Once, job_options
from streaming.rules.book import RuleBook


def alerting_job(addresses: Addresses, flink: Flink, book: RuleBook) -> JobPlan:
    """The plan of the job under the rules of `book`."""
    options = job_options(
        names.ALERTING_JOB,
        flink,
        parallelism=flink.alerting_parallelism,
        checkpoint_ms=flink.alerting_checkpoint_ms,
    )
    return JobPlan(
        name=names.ALERTING_JOB,
        definitions=(
            tables.raw_source(addresses, group=names.ALERTING_JOB),
            tables.judged_view(),
            tables.valid_view(),
            Once(tables.VALID, tables.VALID_ONCE),
            tables.alert_sink(addresses),
        ),
        inserts=(f"INSERT INTO {tables.ALERTS_OUT}\n{book.alerts(tables.VALID_ONCE, 'arrived')}",),
        options=options,
    )
