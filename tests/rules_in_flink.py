"""Runs alerting rules in a real Flink over a given history: as history (batch), or as it would arrive (streaming)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from contracts.schema import load_contract
from contracts.tables import transactions
from streaming.rules.book import RuleBook
from streaming.tables import flink_type
from tests import flink_batch

Mode = Literal["batch", "streaming"]
# What a rule may read: the contract's fields and where the record stood.
COLUMNS = {
    **{column.name: column.type for column in transactions().columns if column.source.startswith("transaction.")},
    "kafka_partition": "int",
    "kafka_offset": "long",
}


def alerts_of(
    book: RuleBook, history: Iterable[Mapping[str, object]], folder: Path, *modes: Mode
) -> dict[Mode, list[dict[str, Any]]]:
    """Return the alerts of `book` over `history` by mode, in no order; all modes in one process, which takes seconds
    to start. The rows of `history` have the columns of `COLUMNS` (others are NULL).

    In a stream rows arrive in the order given; over history they are ordered by offset.
    """
    flink_batch.write(folder / "transactions", history)
    flink_batch.run(folder / "job", *(_job(book, folder, mode) for mode in modes))
    return {mode: flink_batch.read(folder / mode) for mode in modes}


def _job(book: RuleBook, folder: Path, mode: Mode) -> flink_batch.Job:
    # JSON has no decimals: amounts are read as text.
    read = {name: "string" if kind.startswith("decimal") else kind for name, kind in COLUMNS.items()}
    typed = ", ".join(
        f"CAST({name} AS {flink_type(kind)}) AS {name}" if kind.startswith("decimal") else name
        for name, kind in COLUMNS.items()
    )
    contract, order = load_contract("alert"), "arrived" if mode == "streaming" else "kafka_offset"
    return flink_batch.Job(
        definitions=(
            flink_batch.json_table("sent", _columns(read), folder / "transactions"),
            f"CREATE TEMPORARY VIEW transactions AS SELECT {typed}, PROCTIME() AS arrived FROM sent",
            flink_batch.json_table(
                "alerts", _columns({field.column: field.type for field in contract.fields}), folder / mode
            ),
        ),
        inserts=(f"INSERT INTO alerts\n{book.alerts('transactions', order)}",),
        # A stream's files are shown when a checkpoint is complete.
        options={"execution.runtime-mode": "streaming", "execution.checkpointing.interval": "200 ms"}
        if mode == "streaming"
        else {},
    )


def _columns(types: Mapping[str, str]) -> str:
    return ",\n".join(f"  `{name}` {flink_type(kind)}" for name, kind in types.items())
