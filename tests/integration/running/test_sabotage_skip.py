"""A record that ends both jobs each time it is read: the status names it, and `pipeline skip` passes over it.

It comes before the module that leaves this folder's pipeline down.
"""

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.positions import Position
from tests.integration import accounting
from tests.integration.conftest import CommandLine
from tests.integration.recovery.conftest import SEED

pytestmark = [pytest.mark.long, pytest.mark.in_order, pytest.mark.timeout(600)]

# Compressed, the broker takes it; unpacked, it is more than either job's memory bears.
_BYTES = 200 * 2**20


def _send_bomb(pipeline: CommandLine) -> Position:
    settings = {"compression.type": "gzip", "message.max.bytes": 1_000_000_000, "log_level": 0}
    producer, placed = Producer({**pipeline.addresses().kafka.librdkafka(), **settings}), list[Position]()
    producer.produce(
        names.RAW_TOPIC,
        b"x" * _BYTES,
        partition=0,
        on_delivery=lambda _, message: placed.append(Position(names.RAW_TOPIC, 0, message.offset() or 0)),
    )
    assert producer.flush(60) == 0
    return placed[0]


def _send(pipeline: CommandLine, seed: int, folder: Path) -> None:
    assert accounting.send(pipeline, seed=seed, limit=500, rate=500, ledger=folder / str(seed)).wait(timeout=60) == 0


def _stored_once(pipeline: CommandLine, folder: Path) -> bool:
    """Tell whether each record that was acknowledged has one row. Other modules left gaps in the log's offsets."""
    book = ds.dataset([ds.dataset(ledger, format="parquet") for ledger in folder.iterdir()]).to_table(
        columns=["partition", "offset"], filter=pc.field("outcome") == "ok"
    )
    sql = f"""
    SELECT count(*) AS rows, count(DISTINCT (partition, "offset")) AS places
    FROM ({accounting.FATES}) SEMI JOIN book USING (partition, "offset")"""
    (row,) = accounting.ask(pipeline.addresses(), sql, book=book).to_pylist()
    return bool(row["rows"] == row["places"] == book.num_rows)


def test_skip_record_that_ends_both_jobs_is_a_dead_letter_and_all_others_have_their_fate(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    _send(pipeline, SEED, tmp_path)
    position = _send_bomb(pipeline)
    _send(pipeline, SEED + 1, tmp_path)
    command = f"pipeline skip {position} --why REASON"
    for job in names.JOBS:
        accounting.eventually(
            lambda job=job: any(  # type: ignore[misc]
                part.name == f"job {job}" and command in part.detail for part in pipeline.status().components
            ),
            f"the status does not name the record that ends {job}",
            seconds=180,
        )
    told = pipeline("skip", str(position), "--why", "larger than memory").stdout
    assert f"alerting and lakehouse go on after {position} now" in " ".join(told.split())
    _send(pipeline, SEED + 2, tmp_path)
    accounting.eventually(lambda: _stored_once(pipeline, tmp_path), "not every record is stored once", seconds=180)
    accounting.await_healthy(pipeline)
    (line,) = [part for part in pipeline.status().components if part.name == "lake offsets"]
    assert line.detail == "every record once"
    (row,) = accounting.ask(
        pipeline.addresses(),
        f"SELECT reason_code, length(payload) AS bytes FROM dead_letters "
        f'WHERE topic = \'{position.topic}\' AND "partition" = 0 AND "offset" = {position.offset}',
    ).to_pylist()
    assert row == {"reason_code": names.SKIPPED, "bytes": _BYTES}
    assert "records were passed over" in " ".join(pipeline("rules", "history").stdout.split())
