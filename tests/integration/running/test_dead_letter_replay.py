"""Repairing and replaying with real parts: one row for each refused record, pointing back to it, whatever is cut off.

Each test repairs records of its own.
"""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import KafkaError, Message, Producer

from contracts import names
from contracts.paths import PROJECT, StatePaths
from contracts.positions import Position
from operations.dead_letters.raw_log import KafkaRawLog
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.integration import accounting
from tests.integration.conftest import CommandLine

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(420)]

Header = tuple[str, str | bytes | None]


def record(number: int, **other: object) -> dict[str, object]:
    return {
        "transaction_id": str(UUID(int=number)), "timestamp": "2026-11-22T10:00:00.000Z",
        "account_id": f"ACC{number:09}", "amount": "1.00", "currency": "USD", "merchant_id": "MER000001",
        "merchant_name": "Café", "merchant_category": "5411", "transaction_type": "purchase", "channel": "pos",
        "country": "CH", **other,
    }  # fmt: skip


def send(
    pipeline: CommandLine, values: Sequence[bytes], *, headers: list[list[Header]] | None = None
) -> list[Position]:
    """Where these records stand, once they do."""
    producer = Producer({"bootstrap.servers": pipeline.addresses().kafka_bootstrap_servers})
    places: dict[int, Position] = {}

    def note(number: int, error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        places[number] = Position(names.RAW_TOPIC, partition, offset)

    for number, value in enumerate(values):
        producer.produce(
            names.RAW_TOPIC, value, b"key", headers=headers[number] if headers else None,
            on_delivery=partial(note, number),
        )  # fmt: skip
    assert producer.flush(30) == 0
    return [places[number] for number in range(len(values))]


def await_rows(pipeline: CommandLine, sql: str, count: int, *, seconds: float = 120) -> list[dict[str, Any]]:
    """The rows of `sql` once there are `count`; fails after `seconds`."""

    def look() -> list[dict[str, Any]] | None:
        rows = accounting.ask(pipeline.addresses(), sql).to_pylist()
        return rows if len(rows) >= count else None

    return accounting.eventually(look, f"fewer than {count} rows: {sql}", seconds=seconds)


def replay(pipeline: CommandLine, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = pipeline("dead-letters", "replay", *arguments, "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def broken_and_refused(pipeline: CommandLine, numbers: Iterable[int]) -> list[Position]:
    """Where broken records stand that are in the table of refused ones."""
    places = send(pipeline, [json.dumps(record(number, amount="1,00")).encode() for number in numbers])
    listed = ", ".join(f"({place.partition}, {place.offset})" for place in places)
    sql = f'SELECT 1 FROM dead_letters WHERE ("partition", "offset") IN (VALUES {listed})'
    await_rows(pipeline, sql, len(places))
    return places


def exported(pipeline: CommandLine, places: Collection[Position], file: Path, *, repaired: bool) -> Path:
    """The lines of `places` in an export."""
    lines = []
    for line in pipeline("dead-letters", "export", "-o", "-", "--reason", "bad_format").stdout.splitlines():
        letter = json.loads(line)
        if Position(letter["topic"], letter["partition"], letter["offset"]) in places:
            lines.append(line.replace("1,00", "1.00") if repaired else line)
    file.write_text("\n".join(lines), encoding="ascii")
    return file


def repairs_of(pipeline: CommandLine, places: Sequence[Position]) -> dict[Position, tuple[Position, str]]:
    """Place and amount of the one row that repairs each of `places`, after the tables have taken in the whole log."""
    (raw,) = topic_offsets(pipeline.addresses().kafka, (names.RAW_TOPIC,))
    (count,) = await_rows(
        pipeline,
        f"""SELECT * FROM (SELECT (SELECT count(*) FROM transactions) + (SELECT count(*) FROM dead_letters) AS fates)
            WHERE fates >= {raw.written}""",
        1,
    )
    assert count["fates"] == raw.written
    listed = ", ".join(f"'{place}'" for place in places)
    rows = pipeline.query(
        f"""SELECT replayed_from, amount, kafka_topic || '/' || kafka_partition || '/' || kafka_offset AS place
            FROM transactions WHERE replayed_from IN ({listed})"""
    )
    found = {Position.parse(row["replayed_from"]): (Position.parse(row["place"]), row["amount"]) for row in rows}
    assert len(found) == len(rows), f"replayed twice: {rows}"
    return found


def start_replay(pipeline: CommandLine, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "operations.cli", "dead-letters", "replay", *arguments, "--json"]
    return subprocess.Popen(command, env=pipeline.environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def _await_attempts(pipeline: CommandLine, process: "subprocess.Popen[str]", more: int) -> None:
    """Returns once `process` has noted so `more` attempts than there are, or has ended."""
    ledger = sqlite3.connect(ledger_of(pipeline))
    try:
        (before,) = ledger.execute("SELECT count(*) FROM attempts").fetchone()
        deadline = time.monotonic() + 120
        while ledger.execute("SELECT count(*) FROM attempts").fetchone()[0] < before + more and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        ledger.close()


def ledger_of(pipeline: CommandLine) -> Path:
    return StatePaths(pipeline.state).replays / "ledger.db"


def test_replay_by_field_and_by_file_twice_each_gives_one_row_that_points_back(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    first, second, third, fourth = broken_and_refused(pipeline, range(1, 5))
    by_field = (first.short, "--set", "amount=2.00")
    file = exported(pipeline, [second, third], tmp_path / "repaired.jsonl", repaired=True)
    left = exported(pipeline, [fourth], tmp_path / "left.jsonl", repaired=False)
    file.write_text(f"{file.read_text()}\n{left.read_text()}\n")

    assert replay(pipeline, *by_field)["summary"] == {"replayed": 1}
    assert replay(pipeline, "--file", str(file), "--dry-run", code=1)["summary"] == {"would_replay": 2, "invalid": 1}
    sent = replay(pipeline, "--file", str(file), code=1)
    assert sent["summary"] == {"replayed": 2, "invalid": 1}
    assert {each["reason_code"] for each in sent["records"]} == {None, "bad_format"}
    assert replay(pipeline, *by_field)["summary"] == {"already_replayed": 1}
    assert replay(pipeline, "--file", str(file), code=1)["summary"] == {"already_replayed": 2, "invalid": 1}

    found = repairs_of(pipeline, [first, second, third, fourth])
    assert {place: amount for place, (_, amount) in found.items()} == {first: "2.00", second: "1.00", third: "1.00"}
    assert replay(pipeline, *by_field)["records"][0]["replayed_as"] == str(found[first][0])
    letters = json.loads(pipeline("dead-letters", "list", "--json").stdout)["dead_letters"]
    assert {letter["position"]: (letter["state"], letter["replayed_as"]) for letter in letters} == {
        **{str(place): ("replayed", str(found[place][0])) for place in found},
        str(fourth): ("open", None),
    }


def test_replay_killed_at_any_moment_then_run_again_gives_one_row_for_each(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    places = broken_and_refused(pipeline, range(100, 1_300))
    file = exported(pipeline, places, tmp_path / "repaired.jsonl", repaired=True)
    for more in (1, 501):  # in the first group that is sent, then in the second
        process = start_replay(pipeline, "--file", str(file))
        _await_attempts(pipeline, process, more)
        process.kill()
        process.communicate(timeout=30)
    again = replay(pipeline, "--file", str(file))
    assert sum(again["summary"].values()) == 1_200
    assert set(again["summary"]) <= {"replayed", "already_replayed"}
    assert repairs_of(pipeline, places).keys() == set(places)


def test_replay_whose_delivery_was_not_noted_is_found_and_not_sent_again(pipeline: CommandLine) -> None:
    (place,) = broken_and_refused(pipeline, [2_000])
    (sent,) = replay(pipeline, place.short, "--set", "amount=1.00")["records"]
    with sqlite3.connect(ledger_of(pipeline)) as ledger:
        forgotten = "UPDATE attempts SET outcome = 'intended', settled_at = NULL, replayed_as = NULL WHERE position = ?"
        assert ledger.execute(forgotten, [str(place)]).rowcount == 1
        ends = json.loads(ledger.execute("SELECT log_ends FROM attempts ORDER BY number DESC").fetchone()[0])
    ledger.close()
    # As the log alone tells it, and as the command does, by whatever it finds first.
    log = KafkaRawLog(pipeline.addresses().kafka, grace_seconds=0)
    since = {int(partition): offset for partition, offset in ends.items()}
    assert log.find([place], since) == {place: Position.parse(sent["replayed_as"])}
    assert log.find([place], log.ends()) == {}
    (again,) = replay(pipeline, place.short, "--set", "amount=1.00")["records"]
    assert (again["outcome"], again["replayed_as"]) == ("already_replayed", sent["replayed_as"])
    assert repairs_of(pipeline, [place]) == {place: (Position.parse(sent["replayed_as"]), "1.00")}


def test_replay_two_at_once_send_one_record(pipeline: CommandLine) -> None:
    (place,) = broken_and_refused(pipeline, [3_000])
    both = [start_replay(pipeline, place.short, "--set", "amount=1.00") for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=120)[0])["records"][0] for process in both]
    assert sorted(answer["outcome"] for answer in answers) == ["already_replayed", "replayed"]
    assert answers[0]["replayed_as"] == answers[1]["replayed_as"]
    assert repairs_of(pipeline, [place]).keys() == {place}


def test_lakehouse_bears_any_header_and_takes_only_a_position_for_a_pointer(pipeline: CommandLine) -> None:
    pointer = f"{names.RAW_TOPIC}/0/0"
    headers: dict[str, list[Header]] = {
        "no value": [(names.REPLAY_HEADER, None)],
        "no text": [(names.REPLAY_HEADER, b"\xff\xfe/0/1")],
        "a megabyte": [(names.REPLAY_HEADER, b"x" * 900_000)],
        "a line feed": [(names.REPLAY_HEADER, f"{pointer}\n".encode())],
        "nothing": [(names.REPLAY_HEADER, b"")],
        "another": [("other", None), ("", b"x")],
        "the last counts": [(names.REPLAY_HEADER, b"a/0/1"), (names.REPLAY_HEADER, b"elsewhere/0/2")],
    }
    values = [json.dumps(record(4_000 + n, merchant_name=name)).encode() for n, name in enumerate(headers)]
    send(pipeline, values, headers=list(headers.values()))
    (place,) = send(pipeline, [b"{}"], headers=[[(names.REPLAY_HEADER, f"{names.RAW_TOPIC}/9/9".encode())]])
    listed = ", ".join(f"'{name}'" for name in headers)
    rows = await_rows(
        pipeline,
        f"SELECT merchant_name, replayed_from FROM transactions WHERE merchant_name IN ({listed})",
        len(headers),
    )
    found = {row["merchant_name"]: row["replayed_from"] for row in rows}
    assert found == dict.fromkeys(headers) | {"the last counts": "elsewhere/0/2"}
    # A repair that is refused again points back too.
    sql = f'SELECT "partition", "offset" FROM dead_letters WHERE replayed_from = \'{names.RAW_TOPIC}/9/9\''
    assert await_rows(pipeline, sql, 1) == [{"partition": place.partition, "offset": place.offset}]
    assert pipeline("status", check=False).returncode == 0
