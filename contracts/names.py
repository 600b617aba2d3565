"""The vocabulary: every name that two parts of the pipeline must agree on, each written once."""

from typing import Final

# Kafka topics.
RAW_TOPIC: Final = "transactions.raw"
DEAD_LETTER_TOPIC: Final = "transactions.dead-letter"
ALERT_TOPIC: Final = "alerts"
TOPICS: Final = (RAW_TOPIC, DEAD_LETTER_TOPIC, ALERT_TOPIC)

# Kafka header of a record that repairs a refused one: where that one stands, as `topic/partition/offset`.
REPLAY_HEADER: Final = "replay-of"

# Flink jobs, also their consumer groups.
ALERTING_JOB: Final = "alerting"
LAKEHOUSE_JOB: Final = "lakehouse"
JOBS: Final = (ALERTING_JOB, LAKEHOUSE_JOB)
# Which job reads which topic.
READERS: Final = {RAW_TOPIC: JOBS, ALERT_TOPIC: (LAKEHOUSE_JOB,), DEAD_LETTER_TOPIC: ()}

# Iceberg. The catalog's name is part of every key in a JDBC/SQL catalog: Flink and Python must use the same one.
CATALOG: Final = "lake"
NAMESPACE: Final = "finance"
TRANSACTIONS: Final = "transactions"
DEAD_LETTERS: Final = "dead_letters"
ALERTS: Final = "alerts"
# Which commit of the stream brought which records; kept by the control plane.
COMMITS: Final = "commits"
# One row for each life of the pipeline; likewise.
SESSIONS: Final = "sessions"
# The column that keeps what `REPLAY_HEADER` said.
REPLAYED_FROM: Final = "replayed_from"

# The reason code of a dead letter whose record a person has passed over.
SKIPPED: Final = "skipped"

# Summary properties of an Iceberg snapshot that Flink's sink writes.
FLINK_JOB_ID_PROPERTY: Final = "flink.job-id"
FLINK_CHECKPOINT_PROPERTY: Final = "flink.max-committed-checkpoint-id"
# Set by our own maintenance commits, so that readers of history can tell them from new data.
MAINTENANCE_PROPERTY: Final = "maintenance"

# Dagster.
CODE_LOCATION: Final = "pipeline"

# Components, in the order they start.
BROKER: Final = "kafka"
JOBMANAGER: Final = "jobmanager"
# Each job has a TaskManager of its own.
TASKMANAGERS: Final = {job: f"taskmanager-{job}" for job in JOBS}
JOB_KEEPER: Final = "jobs"
GENERATOR: Final = "generator"
CODE_SERVER: Final = "dagster-code"
DAEMON: Final = "dagster-daemon"
WEBSERVER: Final = "dagster-web"
COMPONENTS: Final = (
    BROKER, JOBMANAGER, *TASKMANAGERS.values(), JOB_KEEPER, GENERATOR, CODE_SERVER, DAEMON, WEBSERVER,
)  # fmt: skip
