"""Where every column of a table and every field of a message comes from: one declaration, for whoever shows it.

Columns say it themselves (`contracts/tables.py`, `source`); what the jobs make of a transaction is said here. Fields of
a topic are named by the contract; what a record has beside its value begins with `#`: `#offset`, `#timestamp`.
"""

from dataclasses import dataclass
from typing import Final, Literal

from contracts import names
from contracts.schema import ContractName, load_contract
from contracts.tables import Column, Table, stream_tables

How = Literal["copied", "parsed", "derived", "position", "clock", "rule"]
_RAW: Final = names.RAW_TOPIC
_VALUE: Final = "#value"
TOPIC_CONTRACTS: Final[dict[str, ContractName]] = {
    names.RAW_TOPIC: "transaction",
    names.ALERT_TOPIC: "alert",
    names.DEAD_LETTER_TOPIC: "dead-letter",
}


@dataclass(frozen=True)
class Origin:
    """One field that a value comes from: of the topic `dataset`, or of nothing upstream (`field` is None).

    `how`: copied as it is, parsed into the column's type, derived from it and others, the record's own position, the
    clock of the job `dataset`, or the rule that judged.
    """

    dataset: str
    field: str | None
    how: How


def _raw(field: str, how: How = "copied") -> Origin:
    return Origin(_RAW, field, how)


_CLOCK: Final = {job: Origin(job, None, "clock") for job in names.JOBS}
_RULE: Final = Origin("alerting-rules.yaml", None, "rule")
_ALERT: Final[dict[str, tuple[Origin, ...]]] = {
    "alert_id": (_raw(_VALUE, "derived"), _RULE),
    "transaction_id": (_raw("transaction_id"),),
    "account_id": (_raw("account_id"),),
    "rule_id": (_RULE,),
    "rule_version": (_RULE,),
    "severity": (_RULE,),
    "event_time": (_raw("timestamp"),),
    "detected_at": (_CLOCK[names.ALERTING_JOB],),
    # What the rules read, each what it needs.
    "evidence": (
        *(
            _raw(field, "derived")
            for field in ("transaction_id", "account_id", "timestamp", "amount", "currency", "country")
        ),
        _RULE,
    ),
    "source_partition": (_raw("#partition", "position"),),
    "source_offset": (_raw("#offset", "position"),),
}
_DEAD_LETTER: Final[dict[str, tuple[Origin, ...]]] = {
    "topic": (_raw("#topic", "position"),),
    "partition": (_raw("#partition", "position"),),
    "offset": (_raw("#offset", "position"),),
    "reason_code": (_raw(_VALUE, "derived"),),
    "message": (_raw(_VALUE, "derived"),),
    "payload": (_raw(_VALUE),),
    "payload_encoding": (_raw(_VALUE, "derived"),),
    "failed_at": (_CLOCK[names.LAKEHOUSE_JOB],),
    "replayed_from": (_raw(f"#header {names.REPLAY_HEADER}"),),
}


def message_origins(topic: str) -> dict[str, tuple[Origin, ...]]:
    """By field of the messages in `topic`, where it comes from; empty for the raw topic, which producers write."""
    return {names.ALERT_TOPIC: _ALERT, names.DEAD_LETTER_TOPIC: _DEAD_LETTER}.get(topic, {})


def column_origins(table: Table) -> dict[str, tuple[Origin, ...]]:
    """By column of `table`, where it comes from. Dead letters are made of the raw topic, not of their own one."""
    return {column.name: _origins(column) for column in table.columns}


def _origins(column: Column) -> tuple[Origin, ...]:
    dataset, _, attribute = column.source.partition("#")
    if dataset in _CLOCK and attribute == "clock":
        return (_CLOCK[dataset],)
    if attribute:
        return (Origin(dataset, f"#{attribute}", "copied" if attribute.startswith("header") else "position"),)
    contract, _, field = column.source.partition(".")
    if contract == "dead-letter":
        return _DEAD_LETTER[field]
    topic = next(topic for topic, name in TOPIC_CONTRACTS.items() if name == contract)
    return (Origin(topic, field, "copied" if column.type == "string" else "parsed"),)


def fields_of(topic: str) -> tuple[str, ...]:
    """The fields of the messages in `topic`, and what their records have beside them that is used."""
    declared = tuple(field.name for field in load_contract(TOPIC_CONTRACTS[topic]).fields)
    everything = (
        *message_origins(names.ALERT_TOPIC).values(),
        *message_origins(names.DEAD_LETTER_TOPIC).values(),
        *(origins for table in stream_tables() for origins in column_origins(table).values()),
    )
    used = {
        origin.field
        for origins in everything
        for origin in origins
        if origin.dataset == topic and origin.field and origin.field.startswith("#")
    }
    return (*declared, *sorted(used))
