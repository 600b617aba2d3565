"""The command line as a user meets it: exit codes and what it prints. No Kafka and no Flink."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import PROJECT, StatePaths
from contracts.sessions import SESSION_VARIABLE
from operations import cli, screen
from operations.embedded.lifecycle import Pipeline, Running
from operations.embedded.supervision import Program, Supervisor
from tests.command_line import Answer, Call
from tests.lake_tables import dead_letter, lake_in


@pytest.fixture
def running(state: Path) -> Iterator[Supervisor]:
    """A pipeline of which only a stand-in for the generator runs."""
    paths = StatePaths(state)
    Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1).write()
    supervisor = Supervisor(paths)
    idle = Program(names.GENERATOR, (sys.executable, "-c", "import time; time.sleep(600)"))
    supervisor.start((idle,), {**os.environ, SESSION_VARIABLE: "test"})
    yield supervisor
    supervisor.stop(seconds=0)


@pytest.mark.parametrize("arguments", [["nonsense"], ["query"], ["status", "--nonsense"], ["query", "x", "-o", "xml"]])
def test_wrong_usage_exits_with_2(call: Call, arguments: list[str]) -> None:
    assert call(*arguments).code == 2


def test_help_names_every_command(call: Call) -> None:
    text = call("--help").out
    for command in ("up", "down", "status", "query", "logs", "reset", "fetch", "env", "doctor"):
        assert f" {command} " in text


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["status", "-w"], ["env"], ["logs"], ["query", "x"]]
)
def test_commands_that_need_a_pipeline_exit_with_3_and_say_how_to_start_one(
    call: Call, state: Path, arguments: list[str]
) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (3, "")
    assert "pipeline up" in answer.err
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (["status"], "docs/operations.md"),
        (["dead-letters", "list"], "docs/dead-letters.md"),
        (["rules", "deploy"], "docs/rules.md"),
        (["trace", "0/1"], "docs/lineage.md"),
        (["run", "nonsense"], "docs/deployment.md"),
    ],
)
def test_error_ends_with_the_page_on_its_subject(call: Call, arguments: list[str], page: str) -> None:
    answer = call(*arguments)
    assert answer.code
    assert answer.err.splitlines()[-1] == f"more: {page}"
    assert (PROJECT / page).is_file()


def test_doctor_shows_every_finding_and_exits_as_up_would(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setenv("PIPELINE_DAGSTER__PORT", str(held.getsockname()[1]))
        shown, listed = call("doctor"), call("doctor", "--json")
    assert (shown.code, listed.code) == (5, 5)
    assert "✖ ports " in shown.out
    assert "● Java " in shown.out
    assert {finding["what"]: finding["verdict"] for finding in json.loads(listed.out)}["ports"] == "bad"


def test_down_and_a_failed_up_are_in_the_audit_log_and_looking_is_not(call: Call, state: Path) -> None:
    (state / "run").mkdir(parents=True)
    (state / "run" / "pipeline.lock").touch()
    assert (call("down").code, call("up").code, call("status").code) == (0, 5, 3)
    lines = call("logs", "audit").out.splitlines()
    entries = [json.loads(line) for line in lines]
    assert [(entry["action"], entry["outcome"].partition(":")[0]) for entry in entries] == [
        ("down", "done"),
        ("up", "failed"),
    ]
    assert "PIPELINE_CACHE" in entries[1]["outcome"], "the reason stands there"


def test_down_where_nothing_runs_is_a_success_and_makes_no_folder(call: Call, state: Path) -> None:
    assert call("down") == Answer(0, "No pipeline was running.\n", "")
    assert not state.exists()


def test_env_prints_exports_that_a_shell_can_evaluate(call: Call, state: Path) -> None:
    with lake_in(state) as lake:
        exports = call("env").out
        shell = subprocess.run(
            ["sh", "-c", f"{exports}\nexec {sys.executable} -c 'import os, json; print(json.dumps(dict(os.environ)))'"],
            capture_output=True, text=True, env={}, check=True,
        )  # fmt: skip
        variables = json.loads(shell.stdout)
        assert Addresses.from_environment(variables) == lake.addresses
        assert variables["DAGSTER_HOME"] == str(state / "dagster")


def test_env_json_is_an_object_of_the_same_variables(call: Call, state: Path) -> None:
    with lake_in(state) as lake:
        expected = {**lake.addresses.to_environment(), "DAGSTER_HOME": str(state / "dagster")}
        assert json.loads(call("env", "--json").out) == expected


def test_query_prints_the_answer_while_nothing_runs(call: Call, state: Path) -> None:
    with lake_in(state):
        answer = call("query", "-o", "json", "SELECT count(*) AS rows FROM transactions")
    assert (answer.code, json.loads(answer.out)) == (0, {"rows": 0})


def test_query_mistake_exits_with_1(call: Call, state: Path) -> None:
    with lake_in(state):
        answer = call("query", "SELECT nonsense FROM transactions")
    assert answer.code == 1
    assert answer.err.startswith("error:")
    assert "nonsense" in answer.err


def test_logs_unknown_component_exits_with_1_and_names_the_known_ones(call: Call, state: Path) -> None:
    (state / "logs").mkdir(parents=True)
    (state / "logs" / "kafka.log").touch()
    assert call("logs", "kafak") == Answer(
        1, "", "error: no log of 'kafak'; there are kafka\nmore: docs/operations.md\n"
    )


def test_logs_follow_ended_by_ctrl_c_exits_with_130(state: Path) -> None:
    (state / "logs").mkdir(parents=True)
    (state / "logs" / "kafka.log").write_text("up\n")
    command = [sys.executable, "-m", "operations.cli", "logs", "-f"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout
        assert follower.stdout.readline() == "kafka | up\n"
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=20)
    assert (follower.returncode, err) == (130, "interrupted\n")


def test_status_of_a_pipeline_that_is_not_healthy_exits_with_10_in_the_documented_shape(
    call: Call, running: Supervisor
) -> None:
    answer = call("status", "--json")
    assert answer.code == 10
    status = json.loads(answer.out)
    assert list(status) == ["healthy", "addresses", "components", "warnings", "topics", "lake", "disk"]
    assert (status["healthy"], status["topics"], status["lake"]) == (False, [], None)
    by_name = {component["name"]: component for component in status["components"]}
    assert list(by_name) == [names.GENERATOR, "job alerting", "job lakehouse"]
    assert list(by_name[names.GENERATOR]) == ["name", "health", "detail", "pid", "up_seconds", "memory_mb"]
    assert by_name["job alerting"]["health"] == "starting"


def test_status_with_records_that_stream_and_contract_judge_differently_warns_of_a_defect(
    call: Call, state: Path, running: Supervisor
) -> None:
    with lake_in(state) as lake:
        lake.append(names.DEAD_LETTERS, [dead_letter(0), dead_letter(1, reason_code="validator_disagreement")])
    answer = call("status")
    assert "warning: dead letters with the reason validator_disagreement: 1. The stream refused them" in answer.out
    (warning,) = json.loads(call("status", "--json").out)["warnings"]
    assert "a defect of this pipeline and not of the records" in warning


@pytest.mark.parametrize(("free_mb", "place"), [(500, "warnings"), (20, "components"), (2_000, None)])
def test_status_disk_with_little_room_is_warned_of_and_a_full_one_is_unhealthy(
    call: Call, state: Path, running: Supervisor, monkeypatch: pytest.MonkeyPatch, free_mb: int, place: str | None
) -> None:
    usage = shutil.disk_usage(state)._replace(free=free_mb * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    status = json.loads(call("status", "--json").out)
    words = f"the disk of {state} has {free_mb} MB left; make room there"
    assert {key for key in ("warnings", "components") if words in str(status[key])} == ({place} if place else set())


def test_status_watch_of_a_pipeline_that_ends_says_so_and_exits_with_3(
    call: Call, running: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between its first look and the second.
    monkeypatch.setattr(cli, "time", SimpleNamespace(sleep=lambda _: running.stop(seconds=5)))
    answer = call("status", "--watch")
    assert answer.code == 3
    assert answer.err.splitlines()[0] == "error: the pipeline was ended from elsewhere. Start it again: pipeline up"


def test_down_ends_what_runs(call: Call, running: Supervisor) -> None:
    assert call("down").out.startswith("The pipeline is down after")
    assert running.leftovers() == ()


def test_reset_while_running_is_refused_without_asking(call: Call, state: Path, running: Supervisor) -> None:
    answer = call("reset", "--yes")
    assert answer.code == 1
    assert "End it first: pipeline down" in answer.err
    assert running.is_running()
    assert state.exists()


def test_reset_asks_and_takes_no_for_an_answer(call: Call, state: Path) -> None:
    with lake_in(state):
        pass
    answer = call("reset", stdin=b"n\n")
    assert answer.code == 1
    assert f"Remove {state} with every table and log?" in answer.out
    assert (state / "lake").exists()


def test_reset_without_an_answer_removes_nothing(call: Call, state: Path) -> None:
    with lake_in(state):
        pass
    assert call("reset").code == 1
    assert (state / "lake").exists()


def test_reset_confirmed_removes_the_state_folder(call: Call, state: Path) -> None:
    with lake_in(state):
        pass
    assert call("reset", stdin=b"y\n").out.endswith(f"Removed {state}.\n")
    assert not state.exists()
    assert call("reset", "--yes") == Answer(0, f"There is nothing in {state}.\n", "")


def test_reset_folder_of_something_else_is_refused(call: Call, state: Path) -> None:
    (state / "run" / "lock").mkdir(parents=True)  # as in the root folder of a machine
    (state / "thesis.txt").touch()
    answer = call("reset", "--yes")
    assert answer.code == 1
    assert "not a pipeline's state folder" in answer.err
    assert (state / "thesis.txt").exists()


@pytest.mark.parametrize(("arguments", "stops"), [(["up", "--detach"], 0), (["up"], 1)])
def test_up_whose_output_is_cut_off_leaves_a_detached_pipeline_running(
    call: Call, state: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], stops: int
) -> None:
    addresses = Addresses.local(state=StatePaths(state), kafka_port=1, flink_rest_port=1, dagster_port=1)
    stopped = []

    def start(self: Pipeline, **_: object) -> Running:
        self.started = True
        return Running(addresses, was_running=False)

    def cut_off(_: Addresses) -> object:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(Pipeline, "start", start)
    monkeypatch.setattr(Pipeline, "await_healthy", lambda self, watch: None)
    monkeypatch.setattr(Pipeline, "stop", lambda self, warn: stopped.append(self))
    monkeypatch.setattr(screen, "addresses", cut_off)
    assert call(*arguments).code == 1
    assert len(stopped) == stops
