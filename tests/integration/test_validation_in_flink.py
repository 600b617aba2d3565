"""The stream's verdict on every record is the contract's: the SQL of `streaming/tables.py`, run by a real Flink.

Flink has no broker here: the view over the raw topic reads the same columns from a file. Records are a fixed corpus,
random mutants, and what hypothesis draws; all of them are judged by one job. It is done twice: by the project's
contract, and by one with optional fields.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.schema import Contract, load_contract
from streaming import tables
from tests import flink_batch
from tests.config_copies import copy_of_config, forget_contracts, with_optional_fields
from tests.generated_records import SEED as RECORDS_SEED
from tests.generated_records import drawn_records
from tests.mutant_records import mutants
from tests.nasty_records import ANY_VALUE, VALID, compact, nasty
from tests.reference_judge import ReferenceJudge

SEED = 20261122

_PLACE = "kafka_topic, kafka_partition, kafka_offset, kafka_timestamp"
_PLACE_COLUMNS = "  kafka_topic STRING, kafka_partition INT, kafka_offset BIGINT, kafka_timestamp TIMESTAMP_LTZ(3)"
_EXPLAIN = "CREATE TEMPORARY SYSTEM FUNCTION explain_refused AS 'streaming.udf.explain_refused' LANGUAGE PYTHON"
_EXPLANATION = "e.reason_code, e.message, e.payload, e.payload_encoding"


@dataclass(frozen=True)
class Judged:
    """The records by offset, what the reference says of them, and what Flink made of them.

    `reasons` are the reference's reason codes, None for a valid record; `expected` has the fields of the valid ones.
    """

    contract: Contract
    names: list[str]
    payloads: list[bytes | None]
    reasons: list[str | None]
    expected: dict[int, dict[str, str | None]]
    verdicts: list[dict[str, Any]]
    rows: dict[int, dict[str, Any]]
    refused: dict[int, dict[str, Any]]

    def smallest(self, wrong: Iterable[tuple[int, object]]) -> list[str]:
        """The shortest of the records that were judged wrongly, with what is wrong, as a failure shows them."""
        by_size = sorted(wrong, key=lambda one: len(self.payloads[one[0]] or b""))
        return [
            f"{what}: {self.names[offset]} (seeds {SEED}, {RECORDS_SEED}): {self.payloads[offset]!r:.700}"
            for offset, what in by_size[:5]
        ]


@pytest.fixture(scope="module", params=["the project's contract", "a contract with optional fields"])
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    folder = tmp_path_factory.mktemp("validation")
    if "optional" not in request.param:
        contract = load_contract("transaction")
        yield _run(folder, contract, [*nasty(), *mutants(SEED, 3000), *drawn_records(contract, 1200)])
        return
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PIPELINE_CONFIG", str(with_optional_fields(copy_of_config(folder))))
        forget_contracts()
        contract = load_contract("transaction")
        corpus = [one for one in nasty() if len(one[1] or b"") < 100_000]
        yield _run(
            folder, contract, [*corpus, *_optional(contract), *mutants(SEED, 1000), *drawn_records(contract, 1000)]
        )
    forget_contracts()


def _run(folder: Path, contract: Contract, records: list[tuple[str, bytes | None]]) -> Judged:
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
    # A decimal as JSON number would be read as a float.
    typed = ", ".join(
        f"CAST({field.column} AS STRING)" if field.type.startswith("decimal") else f"`{field.column}`"
        for field in contract.fields
    )
    columns = ",\n".join(
        f"  `{field.column}` {'STRING' if field.type.startswith('decimal') else tables.flink_type(field.type)}"
        for field in contract.fields
    )
    job = flink_batch.Job(
        definitions=(
            _EXPLAIN,
            flink_batch.json_table("written", f"  payload STRING,\n{_PLACE_COLUMNS}", folder / "raw"),
            # A STRING around bytes that need not be UTF-8, as the raw format makes it.
            f"CREATE TEMPORARY VIEW {tables.RAW} AS SELECT FROM_BASE64(payload) AS payload, {_PLACE} FROM written",
            tables.judged_view(),
            tables.valid_view(),
            flink_batch.json_table(
                "verdicts", "  kafka_offset BIGINT, fast BOOLEAN, valid BOOLEAN", folder / "verdicts"
            ),
            flink_batch.json_table("valid", f"{columns},\n{_PLACE_COLUMNS}", folder / "valid"),
            flink_batch.json_table(
                "refused",
                "  kafka_offset BIGINT, reason_code STRING, message STRING, payload STRING, payload_encoding STRING",
                folder / "refused",
            ),
        ),
        inserts=(
            f"INSERT INTO verdicts SELECT kafka_offset, fast, field_values IS NOT NULL FROM {tables.JUDGED}",
            f"INSERT INTO valid SELECT {typed}, {_PLACE} FROM {tables.VALID}",
            f"INSERT INTO refused SELECT kafka_offset, {_EXPLANATION} FROM ("
            f"  SELECT kafka_offset, explain_refused(CAST(payload AS BYTES)) AS e FROM {tables.JUDGED}"
            "  WHERE field_values IS NULL)",
        ),
        options={"python.execution-mode": "thread"},
    )
    flink_batch.run(folder / "job", job)
    judge = ReferenceJudge(contract)
    accepted = ((offset, judge.accepts(payload)) for offset, (_, payload) in enumerate(records))
    return Judged(
        contract=contract,
        names=[name for name, _ in records],
        payloads=[payload for _, payload in records],
        reasons=[judge.reason(payload) for _, payload in records],
        expected={offset: fields for offset, fields in accepted if fields is not None},
        verdicts=flink_batch.read(folder / "verdicts"),
        rows={row["kafka_offset"]: row for row in flink_batch.read(folder / "valid")},
        refused={row["kafka_offset"]: row for row in flink_batch.read(folder / "refused")},
    )


def _optional(contract: Contract) -> Iterator[tuple[str, bytes]]:
    """Records with one optional field and another: present, null, wrong, twice, elsewhere."""
    good: dict[str, object] = {
        "note": "a: b, c",
        "device": "DEV123",
        "risk": "low",
        "settled": "2024-02-29T00:00:00.000Z",
    }
    every = {**VALID, **good}
    yield "all optional fields", compact(every)
    yield "all optional fields, spaced", json.dumps(every).encode()
    yield "all optional fields, reversed", compact(dict(reversed(every.items())))
    yield "all optional fields, first", compact({**good, **VALID})
    texts = (
        "", "x" * 20, "x" * 21, "DEV12", "high", "device", 'a"b', "\\", "\n", "é", "😀" * 20,
        "2023-02-29T00:00:00.000Z", '","device":"DEV999', '": "', "null",
    )  # fmt: skip
    for field in contract.optional:
        yield f"only {field.name}", compact({**VALID, field.name: good[field.name]})
        yield f"without {field.name}", compact({name: value for name, value in every.items() if name != field.name})
        for number, value in enumerate((*ANY_VALUE, *texts)):
            for name, others in (("alone", VALID), ("among others", every), ("slowly", {"x": 1, **every})):
                changed: dict[str, object] = {**others, field.name: value}
                yield f"{field.name} {name} as {number}", compact(changed)
                yield f"{field.name} {name} as {number}, spaced", json.dumps(changed).encode()
        for value in (b'"low"', b"null", b"1", b'"DEV999"'):
            twice = compact(every)[:-1] + b',"' + field.name.encode() + b'":' + value + b"}"
            yield f"{field.name} twice, {value!r} last", twice
        yield f"{field.name} as a value", compact({**VALID, "merchant_name": field.name})
        escaped = compact({**VALID, "merchant_name": f'"{field.name}": "low"'})
        yield f"{field.name} inside a value", escaped
        yield f"{field.name} one level down", compact({**VALID, "x": {field.name: 1}})
        yield (
            f"{field.name} with an escaped name",
            compact(every).replace(
                f'"{field.name}"'.encode(), f'"\\u{ord(field.name[0]):04x}{field.name[1:]}"'.encode()
            ),
        )


def test_judged_view_every_record_gets_one_verdict(judged: Judged) -> None:
    assert sorted(row["kafka_offset"] for row in judged.verdicts) == list(range(len(judged.payloads)))


def test_judged_view_every_verdict_is_the_contracts(judged: Judged) -> None:
    wrong = (
        (row["kafka_offset"], "Flink accepts" if row["valid"] else "Flink refuses")
        for row in judged.verdicts
        if row["valid"] != (row["kafka_offset"] in judged.expected)
    )
    assert judged.smallest(wrong) == []


def test_judged_view_both_ways_of_judging_were_taken(judged: Judged) -> None:
    """A corpus that only one way ever sees would prove nothing of the other."""
    ways = [(row["fast"], row["valid"]) for row in judged.verdicts]
    for way in ((True, True), (False, True), (False, False)):
        assert ways.count(way) > 300, way
    assert ways.count((True, False)) == 0


def test_valid_view_every_value_is_the_records(judged: Judged) -> None:
    expected = {offset: _as_columns(judged.contract, fields) for offset, fields in judged.expected.items()}
    times = {field.column for field in judged.contract.fields if field.type == "timestamptz"}
    found = {
        offset: {name: _time(value) if name in times else value for name, value in row.items()}
        for offset, row in judged.rows.items()
    }
    wrong = (
        (offset, f"{name}: expected {value!r}, found {found.get(offset, {}).get(name)!r}")
        for offset, row in expected.items()
        for name, value in row.items()
        if found.get(offset, {}).get(name) != value
    )
    assert judged.smallest(wrong) == []
    assert found.keys() == expected.keys()


def test_valid_view_every_row_has_its_place_in_kafka(judged: Judged) -> None:
    assert {(row["kafka_topic"], row["kafka_partition"], row["kafka_timestamp"]) for row in judged.rows.values()} == {
        ("transactions.raw", 1, "2026-11-22T10:00:00.456Z")
    }


def test_explain_refused_every_refused_record_has_its_reason_and_its_bytes(judged: Judged) -> None:
    """None of them is a disagreement: what Flink refuses the explanation finds a fault in."""
    wrong = []
    for offset, row in judged.refused.items():
        payload, reason = judged.payloads[offset], judged.reasons[offset]
        # What is no JSON may have too many brackets as well.
        if row["reason_code"] not in ({reason, "too_large"} if reason == "malformed_json" else {reason}):
            wrong.append((offset, f"expected {reason}, found {row['reason_code']}, {row['message']}"))
        if _bytes(row) != payload:
            wrong.append((offset, "the dead letter has other bytes"))
    assert judged.smallest(wrong) == []
    assert judged.refused.keys() == {row["kafka_offset"] for row in judged.verdicts if not row["valid"]}


def _bytes(row: dict[str, Any]) -> bytes | None:
    if row.get("payload") is None:
        return None
    return b64decode(row["payload"]) if row["payload_encoding"] == "base64" else row["payload"].encode()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _as_columns(contract: Contract, fields: dict[str, str | None]) -> dict[str, object]:
    row: dict[str, object] = {}
    for field in contract.fields:
        value = fields[field.name]
        if value is not None and field.type.startswith("decimal"):
            whole, cents = value.split(".")
            value = f"{int(whole)}.{cents}"
        row[field.column] = _time(value) if field.type == "timestamptz" else value
    return row
