"""Carries out `pipeline skip`: notes the decision, and ends the jobs that have not passed the record yet.

They are submitted again without their state, and follow it: `operations/resume.py`, `operations/rules/switch.py`.
"""

import httpx

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning, PipelineError
from contracts.positions import Position
from contracts.rest import rest_client
from contracts.settings import Settings
from operations.flink_jobs import cancel_job
from operations.resume import TOPICS
from pipeline_assets.lib.kafka_offsets import topic_offsets
from pipeline_assets.lib.skips import add_skip
from streaming.checkpoint_positions import newest_readable
from streaming.running_jobs import RunningJob, running_jobs


def skip_to(settings: Settings, position: str, *, why: str, operator: str) -> tuple[str, ...]:
    """Pass over every record up to `position` that is not stored; name the running jobs that were ended for it.

    Raises PipelineError for what is no position of a record in a topic that is stored, or for an empty reason;
    NotRunning without the broker.
    """
    try:
        place = Position.parse(position)
    except ValueError as error:
        raise PipelineError(str(error)) from None
    if place.topic not in TOPICS:
        raise PipelineError(f"{place.topic} is not stored; there are {', '.join(TOPICS)}")
    if not why.strip():
        raise PipelineError("a reason is needed: --why")
    addresses = Addresses.read(settings.paths.root)
    (topic,) = topic_offsets(addresses.kafka, (place.topic,))
    end = topic.stable.get(place.partition, 0)
    if place.offset >= end:
        raise PipelineError(f"there is no record at {place} yet; the last offset of that partition is {end - 1}")
    add_skip(settings.paths.skips, place, why=why, operator=operator)
    try:
        with rest_client(addresses.flink_rest_url, timeout=5) as flink:
            jobs = [job for job in running_jobs(flink) if _is_before(settings, job, place)]
            for job in jobs:
                cancel_job(flink, job.job_id)
            return tuple(sorted({job.name for job in jobs}))
    except (NotRunning, httpx.HTTPError):
        return ()


def _is_before(settings: Settings, job: RunningJob, place: Position) -> bool:
    """Tell whether the newest checkpoint of `job` has not read the record at `place`; always of `lakehouse`."""
    if job.name == names.LAKEHOUSE_JOB:
        return True
    if place.topic != names.RAW_TOPIC:
        return False
    found = newest_readable(settings.paths.checkpoints, job.name, job.fingerprint or "*", place.topic)
    return found is None or found[1].get(place.partition, 0) <= place.offset
