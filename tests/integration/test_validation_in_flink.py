"""The stream's verdict on every record is the contract's: the SQL of `streaming/tables.py`, run by a real Flink.

Flink has no broker here: the view over the raw topic reads the same columns from a file.
"""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from contracts.schema import load_contract
from streaming import tables
from tests import flink_batch
from tests.nasty_records import mutants, nasty
from tests.reference_judge import accepts

SEED = 20261122
MUTANTS = 6000

_PLACE = "kafka_topic, kafka_partition, kafka_offset, kafka_timestamp"
_PLACE_COLUMNS = "  kafka_topic STRING, kafka_partition INT, kafka_offset BIGINT, kafka_timestamp TIMESTAMP_LTZ(3)"


@dataclass(frozen=True)
class Judged:
    """The records by offset, and what Flink made of them: verdicts by offset, and the typed valid rows by offset."""

    names: list[str]
    payloads: list[bytes | None]
    verdicts: list[dict[str, Any]]
    rows: dict[int, dict[str, Any]]

    def short(self, offset: int) -> str:
        """A record as a failure shows it."""
        return f"{self.names[offset]} (seed {SEED}): {self.payloads[offset]!r:.700}"


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("validation")
    records = [*nasty(), *mutants(SEED, MUTANTS)]
    flink_batch.write(
        folder / "raw",
        (
            {
                "payload": None if payload is None else b64encode(payload).decode(),
                "kafka_topic": "transactions.raw",
                "kafka_partition": 1,
                "kafka_offset": offset,
                "kafka_timestamp": "2026-11-22T10:00:00.456Z",
            }
            for offset, (_, payload) in enumerate(records)
        ),
    )
    fields = load_contract("transaction").fields
    # A decimal as JSON number would be read as a float.
    typed = ", ".join(
        f"CAST({field.column} AS STRING)" if field.type.startswith("decimal") else field.column for field in fields
    )
    columns = ",\n".join(
        f"  `{field.column}` {'STRING' if field.type.startswith('decimal') else tables.flink_type(field.type)}"
        for field in fields
    )
    flink_batch.run(
        folder / "job",
        definitions=(
            flink_batch.json_table(tables.RAW, f"  payload BYTES,\n{_PLACE_COLUMNS}", folder / "raw"),
            tables.judged_view(),
            tables.valid_view(),
            flink_batch.json_table(
                "verdicts", "  kafka_offset BIGINT, fast BOOLEAN, valid BOOLEAN", folder / "verdicts"
            ),
            flink_batch.json_table(
                "valid",
                f"{columns},\n{_PLACE_COLUMNS}",
                folder / "valid",
            ),
        ),
        inserts=(
            f"INSERT INTO verdicts SELECT kafka_offset, fast, field_values IS NOT NULL FROM {tables.JUDGED}",
            f"INSERT INTO valid SELECT {typed}, {_PLACE} FROM {tables.VALID}",
        ),
    )
    return Judged(
        names=[name for name, _ in records],
        payloads=[payload for _, payload in records],
        verdicts=flink_batch.read(folder / "verdicts"),
        rows={row["kafka_offset"]: row for row in flink_batch.read(folder / "valid")},
    )


def test_judged_view_every_record_gets_one_verdict(judged: Judged) -> None:
    assert sorted(row["kafka_offset"] for row in judged.verdicts) == list(range(len(judged.payloads)))


def test_judged_view_every_verdict_is_the_contracts(judged: Judged) -> None:
    wrong = [
        f"Flink {'accepts' if row['valid'] else 'refuses'} {judged.short(row['kafka_offset'])}"
        for row in judged.verdicts
        if row["valid"] != (accepts(judged.payloads[row["kafka_offset"]]) is not None)
    ]
    assert wrong == []


def test_judged_view_both_ways_of_judging_were_taken(judged: Judged) -> None:
    """A corpus that only one way ever sees would prove nothing of the other."""
    ways = [(row["fast"], row["valid"]) for row in judged.verdicts]
    assert {way: ways.count(way) > 300 for way in ((True, True), (False, True), (False, False))} == {
        (True, True): True,
        (False, True): True,
        (False, False): True,
    }
    assert ways.count((True, False)) == 0


def test_valid_view_every_value_is_the_records(judged: Judged) -> None:
    expected = {
        offset: _as_columns(fields)
        for offset, payload in enumerate(judged.payloads)
        if (fields := accepts(payload)) is not None
    }
    found = {
        offset: {**row, "event_time": datetime.fromisoformat(row["event_time"])} for offset, row in judged.rows.items()
    }
    wrong = [
        f"{judged.short(offset)}\n  {name}: expected {value!r}, found {found.get(offset, {}).get(name)!r}"
        for offset, row in expected.items()
        for name, value in row.items()
        if found.get(offset, {}).get(name) != value
    ]
    assert wrong == []
    assert found.keys() == expected.keys()


def test_valid_view_every_row_has_its_place_in_kafka(judged: Judged) -> None:
    assert {(row["kafka_topic"], row["kafka_partition"], row["kafka_timestamp"]) for row in judged.rows.values()} == {
        ("transactions.raw", 1, "2026-11-22T10:00:00.456Z")
    }


def _as_columns(fields: dict[str, str]) -> dict[str, object]:
    contract = load_contract("transaction")
    row: dict[str, object] = {contract.field(name).column: value for name, value in fields.items()}
    whole, cents = fields["amount"].split(".")
    return {**row, "amount": f"{int(whole)}.{cents}", "event_time": datetime.fromisoformat(fields["timestamp"])}
