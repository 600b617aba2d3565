"""What became of every record: the log of the raw topic and the generator's ledger, held against the tables.

Only questions to a running pipeline belong here, and what they must answer. What is done to it is each test's own.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import tenacity
from confluent_kafka import Consumer, TopicPartition

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT
from contracts.rest import rest_client
from lake.catalog import open_catalog
from lake.duck import connect
from pipeline_assets.lib.flink_rest import job_statuses
from pipeline_assets.lib.kafka_offsets import topic_offsets
from streaming.rules.book import load_rules
from tests import rules_in_flink
from tests.integration.conftest import CommandLine

FATES = f"""
SELECT kafka_partition AS partition, kafka_offset AS "offset", transaction_id, NULL AS reason_code FROM transactions
UNION ALL SELECT "partition", "offset", NULL, reason_code FROM dead_letters WHERE topic = '{names.RAW_TOPIC}'
"""
_LOOK_SECONDS = 0.5
Cut = Mapping[int, int]
"""A position in the raw topic: by partition, the offset of its next record."""

Found = TypeVar("Found")


def eventually(look: Callable[[], Found | None], what: str, *, seconds: float) -> Found:
    """Return what `look` does, once that is true; fail after `seconds`, saying that `what` did not come to pass."""
    found = tenacity.Retrying(
        wait=tenacity.wait_fixed(_LOOK_SECONDS),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda found: not found),
        retry_error_callback=lambda _: None,
    )(look)
    assert found, f"after {seconds:.0f} s: {what}"
    return found


def send(pipeline: CommandLine, *, seed: int, limit: int, rate: int, ledger: Path) -> "subprocess.Popen[bytes]":
    """Starts a generator of its own, which ends after `limit` records."""
    return generate(pipeline, "--seed", str(seed), "--limit", str(limit), "--rate", str(rate), ledger=ledger)


def generate(pipeline: CommandLine, *options: str, ledger: Path) -> "subprocess.Popen[bytes]":
    """Start a generator with these options."""
    command = [sys.executable, "-m", "generator", *options, "--ledger", str(ledger)]
    environment = {**pipeline.environment, **pipeline.addresses().to_environment()}
    return subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.DEVNULL)


def written(pipeline: CommandLine) -> int:
    """Records ever written to the raw topic."""
    return sum(cut(pipeline.addresses()).values())


def cut(addresses: Addresses) -> Cut:
    """How far the raw topic reaches."""
    (raw,) = topic_offsets(addresses.kafka, (names.RAW_TOPIC,), timeout=20)
    return {partition.partition: partition.end for partition in raw.partitions}


def ask(addresses: Addresses, sql: str, **tables: pa.Table) -> pa.Table:
    """The answer to `sql` over the Iceberg tables and these `tables`; 2 s faster than `pipeline query`."""
    with open_catalog(addresses) as catalog, connect(catalog, addresses.iceberg_warehouse) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.execute(sql).to_arrow_table()


def await_fates(pipeline: CommandLine, expected: int, *, seconds: float = 150) -> None:
    """Returns when as many records have reached a table as `expected`; fails after `seconds`."""

    def arrived() -> bool:
        (row,) = ask(pipeline.addresses(), f"SELECT count(*) AS rows FROM ({FATES})").to_pylist()
        return bool(row["rows"] >= expected)

    eventually(arrived, f"not all of {expected} records are in the tables", seconds=seconds)


def await_healthy(pipeline: CommandLine, *, seconds: float = 120) -> None:
    """Returns when everything is healthy; fails after `seconds` with what `pipeline status` says."""
    try:
        # The tables are asked once the parts are well: that costs ten times as much.
        eventually(
            lambda: not pipeline.unhealthy() and pipeline.status().healthy, "not everything is healthy", seconds=seconds
        )
    except AssertionError as error:
        raise AssertionError(f"{error}:\n{pipeline('status', check=False).stdout}") from error


def sent_since(addresses: Addresses, moment: datetime) -> int:
    """Transactions in the table that were sent after `moment`."""
    sql = f"SELECT count(*) AS rows FROM transactions WHERE kafka_timestamp > '{moment.isoformat()}'"
    return int(ask(addresses, sql)["rows"][0].as_py())


def assert_one_fate_each(addresses: Addresses, until: Cut, *, seconds: float = 60) -> None:
    """Every record before `until` stands in exactly one table, exactly once. Waits for them; fails after `seconds`."""
    wanted = " OR ".join(f'(partition = {partition} AND "offset" < {end})' for partition, end in until.items())
    sql = f'SELECT count(DISTINCT (partition, "offset")) AS positions, count(*) AS rows FROM ({FATES}) WHERE {wanted}'
    expected = sum(until.values())
    with suppress(AssertionError):  # what is there, then, is said below
        eventually(lambda: ask(addresses, sql)["positions"][0].as_py() >= expected, "", seconds=seconds)
    (row,) = ask(addresses, sql).to_pylist()
    found = f"{row['positions']} of {expected} records before {until} are in {row['rows']} rows"
    assert (row["positions"], row["rows"]) == (expected, expected), f"after {seconds:.0f} s: {found}"


def assert_acknowledged_are_there(addresses: Addresses, ledger: Path, until: Cut) -> int:
    """Assert that each record acknowledged before `until` is where it was put, under its own id or with the reason that
    it was broken for, and no id twice.

    A log that lost its end and was written anew would show here. Returns how many records were compared.
    """
    book = ds.dataset(ledger, format="parquet").to_table(
        columns=["transaction_id", "expected", "expected_reason", "outcome", "partition", "offset"]
    )
    ends = pa.table({"partition": list(until), "reaches": list(until.values())})
    (row,) = ask(
        addresses,
        f"""
        WITH sent AS (
          SELECT book.* FROM book JOIN ends USING (partition) WHERE outcome = 'ok' AND "offset" < reaches
        ), fates AS ({FATES})
        SELECT (SELECT count(*) FROM sent) AS acknowledged,
          (SELECT count(DISTINCT (partition, "offset")) FROM sent) AS positions,
          (SELECT count(*) FROM sent JOIN fates USING (partition, "offset")
            WHERE (expected = 'valid') = (fates.transaction_id IS NOT NULL)
              AND (expected <> 'valid' OR fates.transaction_id = sent.transaction_id)
              AND sent.expected_reason IS NOT DISTINCT FROM fates.reason_code) AS found,
          (SELECT count(*) - count(DISTINCT transaction_id) FROM transactions) AS twice
        """,
        book=book,
        ends=ends,
    ).to_pylist()
    assert row["acknowledged"] == row["positions"] == row["found"], row
    assert row["twice"] == 0, "a transaction was written to the log twice"
    return int(row["acknowledged"])


def restarts(addresses: Addresses) -> dict[str, int]:
    """Return how often Flink restarted each job; in the first minute, when its metric is missing, that is 0."""
    with rest_client(addresses.flink_rest_url, timeout=10) as flink:
        return {job.name: job.restarts or 0 for job in job_statuses(flink, names.JOBS)}


def topic_ids(addresses: Addresses, *, seconds: float = 60) -> set[str]:
    """The alert ids in the alerts topic, each perhaps more than once."""
    (topic,) = topic_offsets(addresses.kafka, (names.ALERT_TOPIC,), timeout=20)
    consumer = Consumer(
        {"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": "recovery", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(names.ALERT_TOPIC, part.partition, part.earliest) for part in topic.partitions])
    left, found = topic.retained, set()
    deadline = time.monotonic() + seconds
    try:
        while left > 0:
            assert time.monotonic() < deadline, f"{left} alerts not read after {seconds} s"
            for message in consumer.consume(5000, timeout=1):
                assert message.error() is None, message.error()
                found.add(str(json.loads(message.value() or b"")["alert_id"]))
                left -= 1
    finally:
        consumer.close()
    return found


def undisturbed_alerts(addresses: Addresses, folder: Path) -> pa.Table:
    """The alerts that the rules raise over the finished log, in one bounded run: id, rule and position."""
    texts = {
        "event_time": "strftime(event_time, '%Y-%m-%dT%H:%M:%S.%gZ') AS event_time",
        "amount": "CAST(amount AS VARCHAR) AS amount",
    }
    listed = ", ".join(texts.get(name, name) for name in rules_in_flink.COLUMNS)
    log = ask(addresses, f"SELECT {listed} FROM transactions ORDER BY kafka_partition, kafka_offset")
    rows = (row for batch in log.to_batches(10_000) for row in batch.to_pylist())
    kept = ("alert_id", "rule_id", "source_partition", "source_offset")
    alerts = rules_in_flink.alerts_of(load_rules(), rows, folder, "batch")["batch"]
    return pa.Table.from_pylist([{name: row[name] for name in kept} for row in alerts])
