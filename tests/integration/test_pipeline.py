"""The whole pipe with real parts: every record has exactly one fate, whatever is killed on the way.

One pipeline serves the tests in order; each adds its own records and accounts for all that came before.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest

from contracts import names
from contracts.paths import PROJECT
from tests.integration.accounting import (
    FATES,
    ask,
    assert_one_fate_each,
    await_fates,
    await_healthy,
    await_restarted,
    cut,
    send,
    written,
)
from tests.integration.conftest import CommandLine, command_line

pytestmark = pytest.mark.timeout(420)


def _assert_every_record_has_one_fate(pipeline: CommandLine) -> None:
    addresses = pipeline.addresses()
    assert_one_fate_each(addresses, cut(addresses))


def _assert_as_the_ledger_says(pipeline: CommandLine, ledger: Path) -> None:
    """The dead letters are exactly the records that were sent malformed, each with the reason it was broken for."""
    book = ds.dataset(ledger, format="parquet").to_table().to_pylist()
    assert {entry["outcome"] for entry in book} == {"ok"}
    malformed = [entry for entry in book if entry["expected_reason"]]
    expected = {(entry["partition"], entry["offset"]): entry["expected_reason"] for entry in malformed}
    assert expected, "no malformed record was sent"
    rows = pipeline.query('SELECT "partition", "offset", reason_code FROM dead_letters')
    found = {(row["partition"], row["offset"]): row["reason_code"] for row in rows}
    positions = {(entry["partition"], entry["offset"]) for entry in book}
    assert {position: reason for position, reason in found.items() if position in positions} == expected


def _assert_alerts_once(pipeline: CommandLine) -> None:
    (row,) = pipeline.query("SELECT count(*) AS rows, count(DISTINCT alert_id) AS ids FROM alerts")
    assert row["rows"] == row["ids"] > 0


def _await_alerts_of_version(pipeline: CommandLine, version: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not pipeline.query(f"SELECT 1 FROM alerts WHERE rule_version = '{version}' LIMIT 1"):
        assert time.monotonic() < deadline, f"no alert of rule version {version} after {seconds} s"
        time.sleep(1)


def test_up_while_running_changes_nothing(pipeline: CommandLine) -> None:
    before = pipeline.processes()
    assert "already runs" in pipeline("up", "--detach").stdout
    assert pipeline.processes() == before


def test_pipeline_taskmanager_of_the_tables_killed_while_20000_records_arrive_loses_none_and_leaves_alerting_alone(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    sender = send(pipeline, seed=1, limit=20_000, rate=1_000, ledger=tmp_path)
    await_fates(pipeline, 2_000)
    os.kill(pipeline.processes()[names.TASKMANAGERS[names.LAKEHOUSE_JOB]], signal.SIGKILL)
    assert sender.wait(timeout=60) == 0

    assert written(pipeline) == 20_000
    await_fates(pipeline, 20_000)
    details = await_restarted(pipeline, names.LAKEHOUSE_JOB)
    assert details["job alerting"].endswith("restarts 0"), "the end of what writes tables held alerts back"
    _assert_every_record_has_one_fate(pipeline)
    _assert_as_the_ledger_says(pipeline, tmp_path)
    _assert_alerts_once(pipeline)


def test_alerts_of_all_three_rules_explain_themselves(pipeline: CommandLine) -> None:
    rows = pipeline.query(
        """SELECT a.rule_id, t.amount, t.currency, a.evidence FROM alerts a
        JOIN transactions t ON t.kafka_partition = a.source_partition AND t.kafka_offset = a.source_offset
          AND t.transaction_id = a.transaction_id"""
    )
    (count,) = pipeline.query("SELECT count(*) AS rows FROM alerts")
    assert len(rows) == count["rows"], "an alert points at a transaction that is not there"
    assert {row["rule_id"] for row in rows} == {"high-value", "rapid-activity", "unusual-hour"}
    for row in rows:
        evidence = row["evidence"]
        match row["rule_id"]:
            case "high-value":
                assert evidence["amount"] == str(row["amount"])
                assert float(evidence["amount"]) > float(evidence["threshold"])
            case "rapid-activity":
                assert int(evidence["count"]) > int(evidence["limit"])
            case "unusual-hour":
                assert int(evidence["start_hour"]) <= int(evidence["local_hour"]) < int(evidence["end_hour"])


def test_pipeline_jobmanager_killed_goes_on_from_its_checkpoints(pipeline: CommandLine, tmp_path: Path) -> None:
    before = written(pipeline)
    sender = send(pipeline, seed=2, limit=5_000, rate=500, ledger=tmp_path)
    await_fates(pipeline, before + 500)
    os.kill(pipeline.processes()[names.JOBMANAGER], signal.SIGKILL)
    assert sender.wait(timeout=60) == 0

    await_fates(pipeline, before + 5_000)
    await_healthy(pipeline)
    _assert_every_record_has_one_fate(pipeline)
    _assert_alerts_once(pipeline)


def test_down_then_up_under_another_rule_version_continues_where_it_stopped(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    before = written(pipeline)
    sender = send(pipeline, seed=3, limit=3_000, rate=1_000, ledger=tmp_path / "first")
    assert sender.wait(timeout=60) == 0
    started = time.monotonic()
    pipeline("down")
    took = time.monotonic() - started
    assert pipeline.survivors() == []
    assert took < 15
    assert pipeline("status", check=False).returncode == 3
    (session,) = json.loads(pipeline("sessions", "--json").stdout)
    assert (session["state"], session["records"]) == ("stopped", ask(pipeline.addresses(), FATES).num_rows)

    config = tmp_path / "config"
    shutil.copytree(PROJECT / "config", config)
    rules = config / "alerting-rules.yaml"
    rules.write_text(rules.read_text().replace('version: "1"', 'version: "2"'))
    changed = command_line(pipeline.state, PIPELINE_CONFIG=str(config))
    changed("up", "--detach", "--no-generator")
    sender = send(changed, seed=4, limit=2_000, rate=1_000, ledger=tmp_path / "second")
    assert sender.wait(timeout=60) == 0
    await_fates(pipeline, before + 5_000)
    _assert_every_record_has_one_fate(pipeline)
    _await_alerts_of_version(pipeline, "2")
    _assert_alerts_once(pipeline)


def test_up_interrupted_while_starting_leaves_no_process(tmp_path: Path) -> None:
    command = command_line(tmp_path.resolve())
    up = subprocess.Popen(
        [sys.executable, "-m", "operations.cli", "up"],
        env=command.environment, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(command.survivors()) < 5:
        assert time.monotonic() < deadline, "nothing was started"
        assert up.poll() is None
        time.sleep(0.2)
    up.send_signal(signal.SIGINT)
    assert up.wait(timeout=30) == 130
    assert command.survivors() == []


def test_up_with_a_taken_port_names_it_and_starts_nothing(pipeline: CommandLine, tmp_path: Path) -> None:
    port = pipeline.addresses().kafka_bootstrap_servers.split(":")[1]
    command = command_line(tmp_path.resolve(), PIPELINE_KAFKA__PORT=port)
    refused = command("up", "--detach", check=False)
    assert refused.returncode == 5
    holder = psutil.Process(pipeline.processes()[names.BROKER])
    assert f"port {port} (Kafka) is in use by {holder.name()} (pid {holder.pid})" in refused.stderr
    assert "PIPELINE_KAFKA__PORT=0" in refused.stderr
    assert command.survivors() == []
