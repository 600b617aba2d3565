"""Carries out `pipeline skip`: notes the decision, and has `lakehouse` begin again, which then follows it."""

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
from streaming.running_jobs import running_jobs


def skip_to(settings: Settings, position: str, *, why: str, operator: str) -> bool:
    """Pass over every record up to `position` that is not stored; tell whether a running job was ended for it.

    The job keeper submits it again, without its state and from what the tables hold. Raises PipelineError for what is
    no position of a record in a topic that is stored, or for an empty reason; NotRunning without the broker.
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
    end = topic.ends.get(place.partition, 0)
    if place.offset >= end:
        raise PipelineError(f"there is no record at {place} yet; the last offset of that partition is {end - 1}")
    add_skip(settings.paths.skips, place, why=why, operator=operator)
    try:
        with rest_client(addresses.flink_rest_url, timeout=5) as flink:
            jobs = [job for job in running_jobs(flink) if job.name == names.LAKEHOUSE_JOB]
            for job in jobs:
                cancel_job(flink, job.job_id)
            return bool(jobs)
    except (NotRunning, httpx.HTTPError):
        return False
