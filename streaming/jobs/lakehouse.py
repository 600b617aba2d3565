"""The job `lakehouse`: every record and alert into its Iceberg table, exactly once; dead letters also to Kafka."""

from contracts import names
from contracts.addresses import Addresses
from contracts.schema import load_contract
from contracts.settings import Flink
from contracts.tables import Table, alerts, dead_letters, transactions
from streaming import tables
from streaming.explain import Explanation
from streaming.jobs.plan import JobPlan, Once, job_options, placed

_REFUSED = "refused_transactions"
_EXPLAINED = "explained_transactions"
_EXPLAINED_ONCE = "explained_once"
_READ_ALERTS = "read_alerts"
_ALERTS_ONCE = "alerts_once"
_READ = "CREATE TEMPORARY SYSTEM FUNCTION read_alert AS 'streaming.udf.read_alert' LANGUAGE PYTHON"
_EXPLAIN = "CREATE TEMPORARY SYSTEM FUNCTION explain_refused AS 'streaming.udf.explain_refused' LANGUAGE PYTHON"


def lakehouse_job(addresses: Addresses, flink: Flink) -> JobPlan:
    """The plan of the job."""
    options = job_options(
        names.LAKEHOUSE_JOB,
        flink,
        parallelism=flink.lakehouse_parallelism,
        checkpoint_ms=flink.lakehouse_checkpoint_ms,
        buffer_timeout_ms=tables.BATCH_MS,
    )

    def plan(at: Addresses) -> JobPlan:
        return JobPlan(
            name=names.LAKEHOUSE_JOB,
            definitions=(
                tables.lake_catalog(at),
                _EXPLAIN,
                _READ,
                tables.raw_source(at, group=names.LAKEHOUSE_JOB, stored=True),
                tables.alert_source(at, group=names.LAKEHOUSE_JOB),
                tables.dead_letter_sink(at),
                tables.judged_view(replays=True),
                Once(tables.JUDGED, tables.JUDGED_ONCE),
                tables.valid_view(tables.JUDGED_ONCE, replays=True),
                tables.read_alerts_view(_READ_ALERTS),
                Once(_READ_ALERTS, _ALERTS_ONCE),
                _explained_view(),
                Once(_EXPLAINED, _EXPLAINED_ONCE),
                _refused_view(),
            ),
            inserts=(
                _insert(at, transactions(), f"FROM {tables.VALID}"),
                _insert(at, dead_letters(), f"FROM {_REFUSED}"),
                tables.into_dead_letter_topic(_REFUSED),
                _insert(at, alerts(), _first_of_each_alert()),
            ),
            options={
                **options,
                # The explanation of a refused record runs inside the TaskManager; a process of its own would hold
                # records back for up to a second and cost 300 MB.
                "python.execution-mode": "thread",
            },
        )

    return placed(plan, addresses)


def _explained_view() -> str:
    return f"""CREATE TEMPORARY VIEW {_EXPLAINED} AS
SELECT kafka_topic, kafka_partition, kafka_offset, {names.REPLAYED_FROM},
  explain_refused(CAST(payload AS BYTES)) AS explanation
FROM {tables.JUDGED_ONCE} WHERE field_values IS NULL"""


def _refused_view() -> str:
    """Write a view of refused transactions, and of what is in the alerts topic and is no alert."""
    columns = ", ".join(f"`{field.name}`" for field in load_contract("dead-letter").fields)
    of_transaction = ", ".join(f"e.explanation.{name}" for name in Explanation._fields)
    of_alert = ", ".join(f"a.alert.{name}" for name in Explanation._fields)
    return f"""CREATE TEMPORARY VIEW {_REFUSED} ({columns}) AS
SELECT e.kafka_topic, e.kafka_partition, e.kafka_offset, {of_transaction}, CURRENT_TIMESTAMP, e.{names.REPLAYED_FROM}
FROM {_EXPLAINED_ONCE} AS e
UNION ALL
SELECT a.kafka_topic, a.kafka_partition, a.kafka_offset, {of_alert}, CURRENT_TIMESTAMP, CAST(NULL AS STRING)
FROM {_ALERTS_ONCE} AS a WHERE a.alert.reason_code IS NOT NULL"""


def _first_of_each_alert() -> str:
    """Alerts may be sent twice after a crash: the first of an id is kept, the others are dropped."""
    return f"""FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY alert_id ORDER BY arrived) AS sighting FROM (
    SELECT {tables.alert_columns()},
    a.kafka_topic, a.kafka_partition, a.kafka_offset, a.kafka_timestamp, a.arrived
    FROM {_ALERTS_ONCE} AS a WHERE a.alert.reason_code IS NULL
  )
) WHERE sighting = 1"""


def _insert(addresses: Addresses, table: Table, source: str) -> str:
    columns = ", ".join(
        f"CURRENT_TIMESTAMP AS `{column.name}`" if column.name == "processed_at" else f"`{column.name}`"
        for column in table.columns
    )
    return f"INSERT INTO {tables.lake_table(addresses, table)}\nSELECT {columns}\n{source}"
