"""The Iceberg tables as data: columns projected from the contracts, plus what the pipeline itself adds.

No Iceberg here: `lake/tables.py` makes real tables of these, `streaming/tables.py` writes to them.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

from contracts import names
from contracts.errors import ConfigError
from contracts.paths import contracts_folder
from contracts.schema import Contract, ContractName, load_contract


@dataclass(frozen=True)
class Column:
    """One column. `type` is in Iceberg's words; `source` names where its value comes from."""

    name: str
    type: str
    nullable: bool
    doc: str
    source: str


@dataclass(frozen=True)
class Table:
    """One table: `partition_by` is the timestamp column whose UTC day partitions it, `sort_by` the column by which
    compaction sorts, `key` the column that its rows are looked up by (None: they are looked up by their position in
    Kafka), `position` the columns of its partition and offset. Two rows with the same values in one of the sets of
    columns `once` are one row, stored twice: readers see the first.

    What the stream writes is partitioned by the time at which it writes: a checkpoint has rows of one day then, or two,
    and each day costs the writer a file and memory. Event times may be of thousands of days. A query by event time
    passes over files by their bounds.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: str
    sort_by: str
    key: str | None = None
    position: tuple[str, str] = ("kafka_partition", "kafka_offset")
    once: tuple[tuple[str, ...], ...] = ()

    @property
    def identifier(self) -> str:
        """Namespace and name: `finance.transactions`."""
        return f"{names.NAMESPACE}.{self.name}"


def _from(contract: Contract) -> tuple[Column, ...]:
    return tuple(
        Column(field.column, field.type, field.nullable, field.description, f"{contract.name}.{field.name}")
        for field in contract.fields
    )


def _position(topic: str) -> tuple[Column, ...]:
    """Where the row's own record stood in Kafka: with these, every row can be traced and counted."""
    return (
        Column("kafka_topic", "string", False, "Kafka topic of the record.", f"{topic}#topic"),
        Column("kafka_partition", "int", False, "Kafka partition of the record.", f"{topic}#partition"),
        Column("kafka_offset", "long", False, "Kafka offset of the record in its partition.", f"{topic}#offset"),
        Column("kafka_timestamp", "timestamptz", False, "When the broker took the record, UTC.", f"{topic}#timestamp"),
    )


_PROCESSED_AT = Column(
    "processed_at",
    "timestamptz",
    False,
    "Processing time: when Flink wrote the row, UTC.",
    f"{names.LAKEHOUSE_JOB}#clock",
)


_REPLAYED_FROM = Column(
    names.REPLAYED_FROM,
    "string",
    True,
    "Where the refused record stands that this one repairs, as topic/partition/offset; null for one that is no replay.",
    f"{names.RAW_TOPIC}#header {names.REPLAY_HEADER}",
)


@cache
def _table(
    name: str,
    contract_name: ContractName,
    topic: str | None,
    partition_by: str,
    sort_by: str,
    key: str | None,
    *more: Column,
) -> Table:
    contract = load_contract(contract_name)
    own = (*_position(topic), _PROCESSED_AT) if topic else ()
    columns = (*_from(contract), *own, *more)
    if twice := [name for name, count in Counter(column.name for column in columns).items() if count > 1]:
        raise ConfigError(
            contracts_folder() / f"{contract_name}.schema.json",
            f"two columns would be called {twice[0]}; name the field's with x-column",
        )
    return Table(name, contract.description, columns, partition_by, sort_by, key)


def transactions() -> Table:
    """`finance.transactions`: every valid transaction once, by the day it was stored."""
    return _table(
        names.TRANSACTIONS,
        "transaction",
        names.RAW_TOPIC,
        _PROCESSED_AT.name,
        "event_time",
        "transaction_id",
        _REPLAYED_FROM,
    )


def alerts() -> Table:
    """`finance.alerts`: every alert once, by the day it was stored.

    A version of a rule hits a record once. That also tells repeated alerts whose ids are of different schemes. The ids
    of transaction and account keep a forged alert, sent in advance, from hiding the one on a record to come.
    """
    return replace(
        _table(names.ALERTS, "alert", names.ALERT_TOPIC, _PROCESSED_AT.name, "event_time", "alert_id"),
        once=(
            ("alert_id",),
            ("rule_id", "rule_version", "transaction_id", "account_id", "source_partition", "source_offset"),
        ),
    )


def dead_letters() -> Table:
    """`finance.dead_letters`: every refused record once, by the day it was refused.

    Its own columns topic, partition and offset are its position in Kafka, so none is added.
    """
    return replace(
        _table(names.DEAD_LETTERS, "dead-letter", None, "failed_at", "failed_at", None),
        position=("partition", "offset"),
    )


def stream_tables() -> tuple[Table, ...]:
    """Every table that the stream writes."""
    return (transactions(), dead_letters(), alerts())


@cache
def commits() -> Table:
    """`finance.commits`: which commit of the stream brought which records; one row a commit and Kafka partition.

    Commits are forgotten and files merged; by the place of its record in Kafka, a row can still be traced to its
    commit. Kept by the control plane, not by the stream.
    """
    return Table(
        names.COMMITS,
        "Which commit of the stream brought which records: one row a commit and Kafka partition.",
        (
            _kept("table_name", "string", "The table that was committed to."),
            _kept("snapshot_id", "long", "The commit's snapshot in that table."),
            _kept("sequence_number", "long", "The commit's place in the table's history."),
            _kept("committed_at", "timestamptz", "When it was committed, UTC."),
            _kept("flink_job_id", "string", "The Flink job that committed.", nullable=True),
            _kept("flink_checkpoint_id", "long", "The newest checkpoint that it holds.", nullable=True),
            _kept("session_id", "string", "The pipeline's session at that time.", nullable=True),
            _kept("records", "long", "Rows that it brought from this partition."),
            _kept("source_partition", "int", "Kafka partition; null for a commit without rows.", nullable=True),
            _kept("first_offset", "long", "The lowest offset of them.", nullable=True),
            _kept("last_offset", "long", "The highest offset of them.", nullable=True),
        ),
        partition_by="committed_at",
        sort_by="committed_at",
    )


@cache
def sessions() -> Table:
    """`finance.sessions`: one row for each life of the pipeline, from `up` to `down`. Kept by the control plane."""
    percentiles = [
        _kept(
            f"{kind}_latency_p{percent}_ms",
            "long",
            f"{percent}th percentile of the milliseconds from a record's time in Kafka to {end}, over the last hour.",
            nullable=True,
        )
        for kind, end in (("alert", "that of its alert"), ("storage", "its commit"))
        for percent in (50, 95, 99)
    ]
    return Table(
        names.SESSIONS,
        "One row for each life of the pipeline, from its start to its end.",
        (
            _kept("session_id", "string", "Its name, which every log line carries."),
            _kept("state", "string", "running, stopped (by pipeline down), or lost (it ended without a word)."),
            _kept("started_at", "timestamptz", "When it was started, UTC."),
            _kept("ended_at", "timestamptz", "When it ended, UTC; of a lost one, its last commit.", nullable=True),
            _kept("seen_at", "timestamptz", "When this row was written, UTC."),
            _kept("records", "long", "Records that the stream read and stored: valid and refused ones."),
            _kept("transactions", "long", "Valid ones."),
            _kept("rejected", "long", "Refused ones, which are dead letters."),
            _kept("alerts", "long", "Alerts that were stored."),
            _kept("alerts_by_rule", "map<string,long>", "Alerts by rule id."),
            *percentiles,
            _kept("restarts", "long", "Restarts of the Flink jobs; null where Flink did not say.", nullable=True),
            _kept("versions", "map<string,string>", "What it ran on, by name."),
        ),
        partition_by="started_at",
        sort_by="started_at",
        key="session_id",
    )


def _kept(name: str, kind: str, doc: str, *, nullable: bool = False) -> Column:
    """A column of a table that the control plane keeps."""
    return Column(name, kind, nullable, doc, "control plane#kept")


def appended_tables() -> tuple[Table, ...]:
    """Every table whose rows are never changed."""
    return (*stream_tables(), commits())


def all_tables() -> tuple[Table, ...]:
    """Every table."""
    return (*appended_tables(), sessions())
