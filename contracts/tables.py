"""The Iceberg tables as data: columns projected from the contracts, plus what the pipeline itself adds.

No Iceberg here: `lake/tables.py` makes real tables of these, `streaming/tables.py` writes to them.
"""

from collections import Counter
from dataclasses import dataclass
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
    """One table: `partition_by` is the timestamp column whose UTC day partitions it."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    partition_by: str

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
        Column(
            "kafka_timestamp", "timestamptz", False, "When the producer sent the record, UTC.", f"{topic}#timestamp"
        ),
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
def _table(name: str, contract_name: ContractName, topic: str | None, partition_by: str, *more: Column) -> Table:
    contract = load_contract(contract_name)
    own = (*_position(topic), _PROCESSED_AT) if topic else ()
    columns = (*_from(contract), *own, *more)
    if twice := [name for name, count in Counter(column.name for column in columns).items() if count > 1]:
        raise ConfigError(
            contracts_folder() / f"{contract_name}.schema.json",
            f"two columns would be called {twice[0]}; name the field's with x-column",
        )
    return Table(name, contract.description, columns, partition_by)


def transactions() -> Table:
    """`finance.transactions`: every valid transaction once, by day of its event time."""
    return _table(names.TRANSACTIONS, "transaction", names.RAW_TOPIC, "event_time", _REPLAYED_FROM)


def alerts() -> Table:
    """`finance.alerts`: every alert once, by day of its transaction's event time."""
    return _table(names.ALERTS, "alert", names.ALERT_TOPIC, "event_time")


def dead_letters() -> Table:
    """`finance.dead_letters`: every refused record once, by the day it was refused.

    Its own columns topic, partition and offset are its position in Kafka, so none is added.
    """
    return _table(names.DEAD_LETTERS, "dead-letter", None, "failed_at")


def all_tables() -> tuple[Table, ...]:
    """Every table that the stream writes."""
    return (transactions(), dead_letters(), alerts())
