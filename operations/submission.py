"""Submits jobs that are missing, each from where it stopped: `python -m operations.submission alerting@3 lakehouse`.

One process for all jobs named, since most of a submission is starting its JVM. `alerting@3` runs the rules of
deployment 3. What `lakehouse` goes on from is decided here, when alerts already flow, and not by the job keeper, whose
memory would hold what it takes for ever.
"""

import sys
from collections.abc import Sequence

import structlog
from pyflink.util.exceptions import JavaException

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning, PipelineError
from contracts.logs import configure_logs
from contracts.rest import rest_client
from contracts.settings import Settings, load_settings
from operations.refusals import clear_refusals, write_refusal
from operations.resume import lakehouse_start
from operations.rules.switch import Switch
from pipeline_assets.lib.kafka_offsets import set_group_offsets
from streaming.checkpoint_positions import newest_readable
from streaming.checkpoints import RestorePoint, flink_uri, link_missing_files, remove_old_savepoints
from streaming.deployments import Deployments
from streaming.jobs.catalogue import job_plan
from streaming.submit import await_cluster, submit

log = structlog.get_logger()


def submit_job(what: str, addresses: Addresses, settings: Settings) -> None:
    """Submit the job `what`: its name, or name@deployment. Raises PipelineError if it cannot be."""
    name, _, number = what.partition("@")
    dedicated = settings.flink.dedicated_taskmanagers
    deployment = Deployments(settings.paths.rules).get(int(number)) if number else None
    job = job_plan(name, addresses, settings, deployment)
    if name == names.LAKEHOUSE_JOB:
        await_cluster(addresses, names.TASKMANAGERS[name] if dedicated else None)
        start = lakehouse_start(addresses, settings)
        point = start.point
        if point is None:
            log.info("begins without state", job=what, offsets=start.offsets)
            set_group_offsets(addresses.kafka, name, start.offsets)
    else:
        found = newest_readable(settings.paths.checkpoints, name, job.fingerprint, names.RAW_TOPIC)
        point = found[0] if found else None
        if point is None and deployment is not None:
            with rest_client(addresses.flink_rest_url, timeout=5) as flink:
                Switch(addresses, settings, flink).refuse_without_its_state(deployment)
    restore = _made_ready(point, name, settings) if point else None
    job_id = submit(
        job, addresses, settings.paths.checkpoints, restore=restore, beside=deployment is not None, dedicated=dedicated
    )
    event = "job submitted" if job_id else "job already runs"
    log.info(event, job=what, job_id=job_id, restored_from=restore, fingerprint=job.fingerprint)


def _made_ready(point: RestorePoint, job: str, settings: Settings) -> str:
    """Return the URI of `point`, which has all its files then; savepoints that are older than needed are removed."""
    if linked := link_missing_files(point):
        log.info("files of a savepoint linked into a checkpoint that names them", job=job, files=len(linked))
    if removed := remove_old_savepoints(settings.paths.checkpoints, job, point.fingerprint):
        log.info("old savepoints removed", job=job, savepoints=[each.name for each in removed])
    return flink_uri(point.path)


def main(arguments: Sequence[str]) -> int:
    """Submit each job of the command line; the exit code. What is refused is said, and kept for the status."""
    configure_logs("jobs")
    addresses, settings = Addresses.from_environment(), load_settings()
    settings.paths.checkpoints.mkdir(parents=True, exist_ok=True)
    exit_code = 0
    for what in arguments:
        name = what.partition("@")[0]
        try:
            submit_job(what, addresses, settings)
            clear_refusals(settings.paths, name)
        except NotRunning as error:  # a part that is starting, or starting again
            log.warning("job not started yet", job=what, reason=str(error))
            exit_code = exit_code or error.exit_code
        except (PipelineError, JavaException) as error:
            log.exception("job not started", job=what, reason=str(error).partition("\n")[0])
            write_refusal(settings.paths, name, str(error).partition("\n")[0])
            exit_code = error.exit_code if isinstance(error, PipelineError) else PipelineError.exit_code
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
