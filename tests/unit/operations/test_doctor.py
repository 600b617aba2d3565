"""What is found wrong with a machine, each with what to do about it."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from contracts.settings import Dagster, Flink, Kafka, Lake, Settings
from operations import doctor
from operations.doctor import Finding, Machine, examine
from tests.config_copies import copy_of_config, replaced

GIB = 2**30
LARGE = Machine(memory=16 * GIB, disk=100 * GIB, cpus=4, now=datetime.now(UTC) + timedelta(hours=1))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Any free ports, and a state folder that is not there yet."""
    return Settings(
        state=tmp_path.resolve() / "state",
        kafka=Kafka(port=0, controller_port=0),
        flink=Flink(rest_port=0, rpc_port=0),
        dagster=Dagster(port=0, code_port=0),
    )


def _found(settings: Settings, machine: Machine = LARGE) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings, machine)}


def test_examine_machine_with_everything_finds_all_good(settings: Settings) -> None:
    found = _found(settings)
    assert {finding.verdict for finding in found.values()} == {"good"}
    assert found["Java"].said.startswith(("17.", "21."))
    assert "Flink 2.1" in found["versions"].said
    assert not settings.paths.root.exists(), "nothing is written"


@pytest.mark.parametrize(
    ("machine", "what", "verdict", "said"),
    [
        (replace(LARGE, memory=GIB), "memory", "bad", "1.0 GiB free, and the processes take 2 and more. Close"),
        (replace(LARGE, memory=5 * GIB // 2), "memory", "doubtful", "2.5 GiB free: enough for little traffic"),
        (replace(LARGE, disk=GIB // 2), "disk", "bad", "0.5 GiB free for {state}: too little"),
        (replace(LARGE, disk=5 * GIB), "disk", "doubtful", "5.0 GiB free for {state}: the log alone may take 2048 MiB"),
        (replace(LARGE, cpus=1), "processors", "doubtful", "2 are advised"),
    ],
)
def test_examine_small_machine_says_how_much_there_is_and_what_to_do(
    settings: Settings, machine: Machine, what: str, verdict: str, said: str
) -> None:
    found = _found(settings, machine)
    assert (found[what].verdict, found[what].exit_code) == (verdict, 5 if verdict == "bad" else 0)
    assert said.format(state=settings.paths.root) in found[what].said
    assert {finding.verdict for name, finding in found.items() if name != what} == {"good"}


def test_examine_taken_ports_are_all_named_with_holder_and_variable(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        kafka, web = one.getsockname()[1], other.getsockname()[1]
        held = settings.model_copy(
            update={"kafka": Kafka(port=kafka, controller_port=0), "dagster": Dagster(port=web, code_port=0)}
        )
        found = _found(held)["ports"]
    me = f"{psutil.Process().name()} (pid {os.getpid()})"
    assert found.said.startswith(f"in use: {kafka} (Kafka) by {me}, {web} (Dagster web UI) by {me}.")
    assert "PIPELINE_KAFKA__PORT=0 PIPELINE_DAGSTER__PORT=0 pipeline up" in found.said
    assert found.exit_code == 5


def test_examine_parts_elsewhere_that_do_not_answer_are_all_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_ANSWER_SECONDS", 1.0)
    elsewhere = settings.model_copy(
        update={
            "kafka": Kafka(bootstrap_servers="127.0.0.1:1"),
            "flink": Flink(rest_url="http://127.0.0.1:1"),
            "lake": Lake(catalog="postgresql://me@127.0.0.1:1/lake"),
        }
    )
    found = _found(elsewhere)["elsewhere"]
    assert (found.verdict, found.exit_code) == ("bad", 5)
    for part in (
        "Kafka at 127.0.0.1:1: ",
        "Flink at http://127.0.0.1:1: ",
        "PostgreSQL at postgresql://me@127.0.0.1:1/lake: ",
    ):
        assert part in found.said


def test_examine_with_every_part_here_asks_nobody(settings: Settings) -> None:
    assert _found(settings)["elsewhere"].said == "nothing: every part is started here"


def test_examine_jars_for_a_bucket_are_missed_only_where_there_is_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "empty"))
    bucket = settings.model_copy(update={"lake": Lake(warehouse="s3://bucket/tables")})
    counts = [int(_found(of)["jars"].said.partition(" ")[0]) for of in (settings, bucket)]
    assert counts[1] == counts[0] + 1


def test_examine_clock_that_went_back_is_found_by_the_newest_log(settings: Settings) -> None:
    logs = settings.paths.logs
    logs.mkdir(parents=True)
    settings.paths.root.chmod(0o700)
    (logs / "kafka.log").touch()
    (logs / "jobs.log").touch()
    os.utime(logs / "jobs.log", (0, 0))
    early = replace(LARGE, now=datetime.now(UTC) - timedelta(hours=1))
    assert _found(settings)["clock"].verdict == "good"
    found = _found(settings, early)["clock"]
    assert (found.verdict, found.exit_code) == ("bad", 5)
    assert f"{logs / 'kafka.log'} was written at" in found.said


def test_examine_state_folder_open_to_others_is_told_with_the_remedy(settings: Settings) -> None:
    settings.paths.root.mkdir(mode=0o755)
    found = _found(settings)["state folder"]
    assert (found.verdict, found.said.endswith(f"chmod 700 {settings.paths.root}")) == ("doubtful", True)


def test_examine_missing_jars_are_counted_and_not_fetched(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "empty"))
    found = _found(settings)["jars"]
    assert found.verdict == "doubtful"
    assert found.said.endswith("MB). The first start fetches them, or: pipeline fetch")
    assert not (tmp_path / "empty").exists()


def test_examine_broken_configuration_is_told_beside_everything_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = copy_of_config(tmp_path)
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    line = replaced(config / "generator.yaml", "fraud_percent: 2.0", "fraud_percent: many")
    found = _found(settings, replace(LARGE, memory=0))
    assert (found["configuration"].verdict, found["configuration"].exit_code) == ("bad", 4)
    assert f"generator.yaml:{line}: fraud_percent" in found["configuration"].said
    assert found["memory"].verdict == "bad"


def test_this_machine_has_what_this_test_takes_and_needs_no_state_folder(tmp_path: Path) -> None:
    machine = Machine.this(tmp_path / "not" / "there")
    assert machine.memory > 2**20
    assert machine.disk > 2**20
    assert machine.cpus >= 1
    assert machine.now.utcoffset() == timedelta(0)
