"""The job `lakehouse`: every record and alert into its Iceberg table, exactly once; dead letters also to Kafka."""

from contracts import names
from contracts.addresses import Addresses
from contracts.schema import load_contract
from contracts.settings import Flink
from contracts.tables import Table, alerts, dead_letters, transactions
from streaming import tables
from streaming.jobs.plan import JobPlan, Once, job_options

_REFUSED = "refused_transactions"
_EXPLAIN = "CREATE TEMPORARY SYSTEM FUNCTION explain_refused AS 'streaming.udf.explain_refused' LANGUAGE PYTHON"


def lakehouse_job(addresses: Addresses, flink: Flink) -> JobPlan:
    """The plan of the job."""
    options = job_options(
        names.LAKEHOUSE_JOB,
        flink,
        parallelism=flink.lakehouse_parallelism,
        checkpoint_ms=flink.lakehouse_checkpoint_ms,
    )
    return JobPlan(
        name=names.LAKEHOUSE_JOB,
        definitions=(
            tables.lake_catalog(addresses),
            _EXPLAIN,
            tables.raw_source(addresses, group=names.LAKEHOUSE_JOB, replays=True),
            tables.alert_source(addresses, group=names.LAKEHOUSE_JOB),
            tables.dead_letter_sink(addresses),
            tables.judged_view(replays=True),
            Once(tables.JUDGED, tables.JUDGED_ONCE),
            tables.valid_view(tables.JUDGED_ONCE, replays=True),
            _refused_view(),
        ),
        inserts=(
            _insert(addresses, transactions(), f"FROM {tables.VALID}"),
            _insert(addresses, dead_letters(), f"FROM {_REFUSED}"),
            tables.into_dead_letter_topic(_REFUSED),
            _insert(addresses, alerts(), _first_of_each_alert()),
        ),
        options={
            **options,
            # The explanation of a refused record runs inside the TaskManager; a process of its own would hold
            # records back for up to a second and cost 300 MB.
            "python.execution-mode": "thread",
        },
    )


def _refused_view() -> str:
    columns = ", ".join(f"`{field.name}`" for field in load_contract("dead-letter").fields)
    return f"""CREATE TEMPORARY VIEW {_REFUSED} ({columns}) AS
SELECT j.kafka_topic, j.kafka_partition, j.kafka_offset,
  e.reason_code, e.message, e.payload, e.payload_encoding, CURRENT_TIMESTAMP, j.{names.REPLAYED_FROM}
FROM {tables.JUDGED_ONCE} AS j,
  LATERAL TABLE(explain_refused(j.payload)) AS e(reason_code, message, payload, payload_encoding)
WHERE j.field_values IS NULL"""


def _first_of_each_alert() -> str:
    """Alerts may be sent twice after a crash: the first of an id is kept, the others are dropped."""
    return f"""FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY alert_id ORDER BY arrived) AS sighting FROM {tables.ALERTS_IN}
) WHERE sighting = 1"""


def _insert(addresses: Addresses, table: Table, source: str) -> str:
    columns = ", ".join(
        f"CURRENT_TIMESTAMP AS `{column.name}`" if column.name == "processed_at" else f"`{column.name}`"
        for column in table.columns
    )
    return f"INSERT INTO {tables.lake_table(addresses, table)}\nSELECT {columns}\n{source}"
