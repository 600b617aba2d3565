"""The jobs by name."""

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.settings import Settings
from streaming.jobs.alerting import alerting_job
from streaming.jobs.lakehouse import lakehouse_job
from streaming.jobs.plan import JobPlan
from streaming.rules.book import load_rules


def job_plan(name: str, addresses: Addresses, settings: Settings) -> JobPlan:
    """The plan of the job called `name`. Raises ConfigError for a bad rule file or an unknown job."""
    match name:
        case names.ALERTING_JOB:
            return alerting_job(addresses, settings.flink, load_rules())
        case names.LAKEHOUSE_JOB:
            return lakehouse_job(addresses, settings.flink)
        case _:
            raise ConfigError("streaming.submit", f"no such job: {name}; there are {', '.join(names.JOBS)}")
