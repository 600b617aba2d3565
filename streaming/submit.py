"""Submits a job to a running Flink cluster, from a checkpoint, a savepoint or without state."""

from pathlib import Path

import httpx
import tenacity
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pyflink.common import Configuration
from pyflink.datastream import SlotSharingGroup, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment
from pyflink.util.exceptions import TableException

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed
from contracts.rest import rest_client
from streaming.checkpoints import checkpoint_folder, claim_mode, flink_uri, record_contracts
from streaming.jobs.plan import FINGERPRINT, JobPlan, Once
from streaming.running_jobs import await_listed, ended_jobs, running_jobs, submission_id

# Flink's name of the group that all tasks are in which name none.
_EVERY_TASK = "default"
# Flink's own switch for application mode; a session's clients honour it too.
_FIXED_JOB_ID = "$internal.pipeline.job-id"
_REFUSED_AS_DOUBLE = "DuplicateJobSubmissionException"


def submit(
    job: JobPlan,
    addresses: Addresses,
    checkpoints: Path,
    *,
    restore: str | None,
    beside: bool = False,
    dedicated: bool = True,
) -> str | None:
    """Starts the job on the cluster at `addresses`, from the checkpoint `restore` if given.

    It runs in the TaskManager of its name, or, where that is not `dedicated`, in any free slots.
    Returns Flink's job id; None where a job of this name already runs, with `beside` one of this very plan.
    """
    host, port = addresses.flink_rest
    fingerprint = job.fingerprint
    options = {
        **job.options,
        "execution.target": "remote",
        "rest.address": host,
        "rest.port": str(port),
        "execution.checkpointing.dir": flink_uri(checkpoint_folder(checkpoints, job.name, fingerprint)),
        # Shown by Flink beside the job, and read back where it is stopped with a savepoint.
        "pipeline.global-job-parameters": f"{FINGERPRINT}:{fingerprint}",
    }
    if restore:
        options["execution.state-recovery.path"] = restore
        options["execution.state-recovery.claim-mode"] = claim_mode(restore)
    environment = _environment(options, job.name if dedicated else None)
    for definition in job.definitions:
        if isinstance(definition, Once):
            _compute_once(environment, definition)
        else:
            environment.execute_sql(definition)
    statements = environment.create_statement_set()
    for insert in job.inserts:
        statements.add_insert_sql(insert)
    await_cluster(addresses, names.TASKMANAGERS[job.name] if dedicated else None)
    with rest_client(addresses.flink_rest_url, timeout=5) as flink:
        namesakes = [other for other in running_jobs(flink) if other.name == job.name]
        if any(other.fingerprint == fingerprint or not beside for other in namesakes):
            return None
        job_id = submission_id(fingerprint, restore, ended_jobs(flink))
        environment.get_config().set(_FIXED_JOB_ID, job_id)
        record_contracts(checkpoints, job.name, fingerprint)
        try:
            statements.execute()
        except TableException as error:
            if _REFUSED_AS_DOUBLE in str(error):
                return None
            raise
        await_listed(flink, job_id)
    return job_id


class _NotReady(Exception):
    """The job's TaskManager has not registered yet, or the broker no topics."""


def await_cluster(addresses: Addresses, taskmanager: str | None, *, seconds: float = 120) -> None:
    """Returns once Flink has the TaskManager, or any for None, and Kafka the topics; planning may thus run meanwhile.

    Raises ComponentFailed after `seconds`.
    """
    retry = tenacity.Retrying(
        wait=tenacity.wait_fixed(0.25),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_exception_type((httpx.TransportError, KafkaException, _NotReady)),
        reraise=True,
    )
    broker = AdminClient({**addresses.kafka.librdkafka(), "log_level": 0})
    try:
        retry(_look, addresses.flink_rest_url, taskmanager, broker)
    except (httpx.TransportError, KafkaException, _NotReady) as error:
        raise ComponentFailed(
            f"Flink at {addresses.flink_rest_url} or Kafka at {addresses.kafka_bootstrap_servers} was not ready "
            f"after {seconds:.0f} s: {error}. Look at: pipeline status"
        ) from error


def _look(flink_rest_url: str, taskmanager: str | None, broker: AdminClient) -> None:
    with rest_client(flink_rest_url, timeout=2) as flink:
        answer = flink.get("/taskmanagers")
    registered = {found["id"] for found in answer.json()["taskmanagers"]} if answer.is_success else set()
    if not registered or (taskmanager and taskmanager not in registered):
        raise _NotReady(f"{taskmanager or 'any TaskManager'} has not registered with Flink")
    missing = set(names.TOPICS) - set(broker.list_topics(timeout=2).topics)
    if missing:
        raise _NotReady(f"no topic {', '.join(sorted(missing))}")


def _environment(options: dict[str, str], resource: str | None) -> StreamTableEnvironment:
    """A table environment whose jobs go to the cluster that `options` name, on the TaskManager that has `resource`.

    PyFlink's own constructors make a local environment, which runs jobs inside this process whatever the options say.
    """
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    java = get_gateway().jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    environment = StreamExecutionEnvironment(java(configuration._j_configuration))
    if resource is None:
        return StreamTableEnvironment.create(environment)
    # Flink takes an external resource along with cores and heap only; neither is divided among the slots.
    slot = SlotSharingGroup.builder(_EVERY_TASK).set_cpu_cores(1.0).set_task_heap_memory_mb(1)
    environment.register_slot_sharing_group(slot.set_external_resource(resource, 1.0).build())
    return StreamTableEnvironment.create(environment)


def _compute_once(environment: StreamTableEnvironment, once: Once) -> None:
    """Passes the view through a data stream, which Flink computes once. Rows stay in its own format, unconverted."""
    table = environment.from_path(once.view)._j_table
    row_data = get_gateway().jvm.java.lang.Class.forName("org.apache.flink.table.data.RowData")
    stream = environment._j_tenv.toDataStream(
        table, table.getResolvedSchema().toPhysicalRowDataType().bridgedTo(row_data)
    )
    schema = Schema.new_builder().column_by_expression("arrived", "PROCTIME()").build()
    environment._j_tenv.createTemporaryView(once.name, stream, schema._j_schema)
