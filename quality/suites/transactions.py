"""What every row of `finance.transactions` must be, and the table as a whole: nothing twice, nothing missing.

No field is named here unless the contract cannot say it: add a rule to the contract first.
"""

from contracts import names, tables
from contracts.schema import load_contract
from quality.expectations import AtMost, Expectation, NoRows, NotAfter, Suite, Unique
from quality.settings import DEFAULT, Accuracy, QualitySettings
from quality.suites.contract import complete, valid
from quality.suites.measures import distributed, timely

POSITION = ("kafka_partition", "kafka_offset")


def suite(settings: QualitySettings) -> Suite:
    """The full suite."""
    table = tables.transactions()
    return Suite(
        table.name,
        (
            *complete(table),
            *_unique(table.key or ""),
            *(rule for field in load_contract("transaction").fields for rule in valid(field)),
            *timely(settings.timeliness),
            *_accurate(settings.accuracy),
            *_consistent(),
        ),
        others=(names.DEAD_LETTERS,),
    )


def _unique(key: str) -> tuple[Expectation, ...]:
    return (
        Unique(columns=POSITION),
        # A producer may send one transaction twice; both stand in the log, so both are rows.
        Unique(columns=(key,), critical=False),
        NoRows(dimension="uniqueness", said=f"a {key} names one payment", query=_conflicts(key), critical=False),
        # Of a refused record, one repair at most.
        Unique(columns=(names.REPLAYED_FROM,)),
    )


def _conflicts(key: str) -> str:
    """Write SQL for each `key` under which transactions of different content were sent."""
    content = ", ".join(field.column for field in load_contract("transaction").fields)
    repeated = f"SELECT {key} FROM {{batch}} GROUP BY {key} HAVING count(*) > 1"
    return (
        f"SELECT {key} FROM {{batch}} WHERE {key} IN ({repeated}) "
        f"GROUP BY {key} HAVING count(DISTINCT hash({content})) > 1"
    )


def _accurate(settings: Accuracy) -> tuple[Expectation, ...]:
    bounds = {currency: bound for currency, bound in settings.highest_amount.items() if currency != DEFAULT}
    return (
        NotAfter(column="event_time", other="kafka_timestamp", seconds=settings.future_seconds, critical=False),
        AtMost(
            column="amount", by="currency", bounds=bounds, otherwise=settings.highest_amount[DEFAULT], critical=False
        ),
        *distributed(settings),
    )


def _consistent() -> tuple[Expectation, ...]:
    """Expect no record in both tables. Missing ones are told elsewhere: only Kafka knows what a gap is."""
    refused = f"""SELECT "partition", "offset" FROM {names.DEAD_LETTERS} WHERE topic = '{names.RAW_TOPIC}'"""
    return (
        NoRows(
            dimension="consistency",
            said="no Kafka record is both a transaction and a dead letter",
            query=f"SELECT kafka_partition, kafka_offset FROM {{batch}} "
            f"WHERE (kafka_partition, kafka_offset) IN ({refused})",
        ),
    )
