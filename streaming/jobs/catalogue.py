"""The jobs by name."""

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.settings import Settings
from streaming.deployments import Begin, Deployment, Deployments
from streaming.jobs.alerting import alerting_job
from streaming.jobs.lakehouse import lakehouse_job
from streaming.jobs.plan import JobPlan
from streaming.rules.book import load_rules


def job_plan(name: str, addresses: Addresses, settings: Settings, deployment: Deployment | None = None) -> JobPlan:
    """The plan of the job called `name`; `alerting` under the rules of `deployment`, else of the configuration folder.

    Raises ConfigError for a bad rule file or an unknown job.
    """
    match name:
        case names.ALERTING_JOB if deployment is not None:
            book = Deployments(settings.paths.rules).book(deployment)
            return alerting_job(addresses, settings.flink, book, deployment.begin or Begin())
        case names.ALERTING_JOB:
            return alerting_job(addresses, settings.flink, load_rules())
        case names.LAKEHOUSE_JOB:
            return lakehouse_job(addresses, settings.flink)
        case _:
            raise ConfigError("streaming.submit", f"no such job: {name}; there are {', '.join(names.JOBS)}")
