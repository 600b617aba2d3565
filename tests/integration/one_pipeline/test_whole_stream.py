"""The whole pipe with real parts, from start to end: every record has exactly one fate, and every alert is stored once.

What becomes of it when parts are killed: `tests/integration/recovery`.
"""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pytest

from contracts import names
from contracts.paths import PROJECT
from lake.catalog import open_catalog
from lake.catalog_file import local_path
from tests.config_copies import copy_of_config
from tests.integration import accounting
from tests.integration.conftest import CommandLine, command_line

# Simulated minutes of ordinary traffic, which take seconds: long enough for every rule to be hit.
_MINUTES, _RATE = 20, 10


@pytest.fixture(scope="module")
def sent(pipeline: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Send some minutes of traffic; the ledger of it, once all of it is in the tables."""
    ledger = tmp_path_factory.mktemp("sent")
    start = datetime.now(UTC) - timedelta(minutes=_MINUTES + 1)
    simulated = ("--start", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--backfill", f"{_MINUTES}m", "--rate", str(_RATE))
    assert accounting.generate(pipeline, "--seed", "1", *simulated, ledger=ledger).wait(timeout=120) == 0
    accounting.assert_one_fate_each(pipeline.addresses(), accounting.cut(pipeline.addresses()))
    return ledger


def _assert_alerts_once(pipeline: CommandLine) -> None:
    (row,) = accounting.ask(
        pipeline.addresses(), "SELECT count(*) AS rows, count(DISTINCT alert_id) AS ids FROM alerts"
    ).to_pylist()
    assert row["rows"] == row["ids"] > 0


def test_up_while_running_changes_nothing(pipeline: CommandLine) -> None:
    before = pipeline.processes()
    assert "already runs" in pipeline("up", "--detach").stdout
    assert pipeline.processes() == before


def test_pipeline_every_record_has_the_fate_that_its_ledger_foretells(pipeline: CommandLine, sent: Path) -> None:
    addresses = pipeline.addresses()
    compared = accounting.assert_acknowledged_are_there(addresses, sent, accounting.cut(addresses))
    book = ds.dataset(sent, format="parquet").to_table(columns=["expected_reason", "outcome"]).to_pylist()
    assert compared == len(book) > 0.9 * _MINUTES * 60 * _RATE / 2
    assert {entry["outcome"] for entry in book} == {"ok"}
    assert len({entry["expected_reason"] for entry in book}) > 3, "hardly any malformed record was sent"


def test_alerts_of_all_three_rules_explain_themselves(pipeline: CommandLine, sent: Path) -> None:
    del sent  # what raises them
    rules = {"high-value", "rapid-activity", "unusual-hour"}
    found = "SELECT DISTINCT rule_id FROM alerts"
    accounting.eventually(
        lambda: rules <= set(accounting.ask(pipeline.addresses(), found)["rule_id"].to_pylist()),
        "a rule was never hit",
        seconds=30,
    )
    rows = pipeline.query(
        """SELECT a.rule_id, t.amount, t.currency, a.evidence FROM alerts a
        JOIN transactions t ON t.kafka_partition = a.source_partition AND t.kafka_offset = a.source_offset
          AND t.transaction_id = a.transaction_id"""
    )
    (count,) = pipeline.query("SELECT count(*) AS rows FROM alerts")
    assert len(rows) == count["rows"], "an alert points at a transaction that is not there"
    assert {row["rule_id"] for row in rows} == rules
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
    _assert_alerts_once(pipeline)


def _cut_newest_metadata(pipeline: CommandLine) -> Path:
    with open_catalog(pipeline.addresses()) as catalog:
        newest = local_path(catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}").metadata_location)
    newest.write_bytes(newest.read_bytes()[:1_000])
    return newest


def test_down_repair_of_a_damaged_table_and_up_under_another_rule_version_lose_and_double_nothing(
    pipeline: CommandLine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sender = accounting.send(pipeline, seed=3, limit=3_000, rate=1_000, ledger=tmp_path / "first")
    assert sender.wait(timeout=60) == 0
    started = time.monotonic()
    pipeline("down")
    took = time.monotonic() - started
    assert pipeline.survivors() == []
    assert took < 15
    assert pipeline("status", check=False).returncode == 3
    (session,) = json.loads(pipeline("sessions", "--json").stdout)
    rows = accounting.ask(pipeline.addresses(), accounting.FATES).num_rows
    assert (session["state"], session["records"]) == ("stopped", rows)

    # The pipeline reads it for as long as it runs, which is longer than this test.
    config = copy_of_config(tmp_path_factory.mktemp("changed"))
    rules = config / "alerting-rules.yaml"
    rules.write_text(rules.read_text().replace('version: "1"', 'version: "2"'))
    changed = command_line(pipeline.state, PIPELINE_CONFIG=str(config))
    damaged = _cut_newest_metadata(pipeline)
    refused = changed("up", "--detach", check=False)
    assert refused.returncode == 1
    assert f"{damaged.name} of the table transactions cannot be read" in refused.stderr
    assert "pipeline repair" in refused.stderr
    assert "transactions is registered with" in changed("repair").stdout
    changed("up", "--detach", "--no-generator", "--read-only-web")
    sender = accounting.send(changed, seed=4, limit=2_000, rate=1_000, ledger=tmp_path / "second")
    assert sender.wait(timeout=60) == 0
    accounting.assert_one_fate_each(changed.addresses(), accounting.cut(changed.addresses()))
    accounting.eventually(
        lambda: accounting.ask(changed.addresses(), "FROM alerts WHERE rule_version = '2' LIMIT 1").num_rows,
        "no alert of rule version 2",
        seconds=60,
    )
    _assert_alerts_once(changed)


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
