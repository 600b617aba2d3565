"""The Compose file for real: everything comes up, parts are killed under traffic, and every record has one fate.

Opt-in, for it needs Docker with Compose and the images: `pytest --compose tests/integration/test_compose.py`. Where
no image can be pulled, docker/stand-ins/build.sh makes them first.
"""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.paths import PROJECT
from tests.integration.accounting import eventually

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

PROJECT_NAME = "fraud-lakehouse-test"
# Of the whole, by the kernel's own account.
MEMORY_MIB = 3_400
RECORDS = 30_000


def compose(*arguments: str, seconds: float = 400, check: bool = True) -> str:
    done = subprocess.run(
        ["docker", "compose", "--project-name", PROJECT_NAME, *arguments],
        capture_output=True, text=True, timeout=seconds, cwd=PROJECT, check=False,
        env={**os.environ, "POSTGRES_PASSWORD": "a: long \\ one"},
    )  # fmt: skip
    if check and done.returncode != 0:
        pytest.fail(f"docker compose {' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def inside(script: str, *, seconds: float = 120, check: bool = True) -> str:
    """What a shell prints that has the pipeline's addresses."""
    command = f'eval "$(pipeline env)"; {script}'
    return compose(
        "run", "--rm", "--no-TTY", "--no-deps", "--entrypoint", "sh", "pipeline", "-c", command,
        seconds=seconds, check=check,
    )  # fmt: skip


def kill(service: str) -> None:
    """Ends the service's container as a crash does: a `docker kill` would count as somebody's wish."""
    container = compose("ps", "--quiet", service).strip()
    found = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", container], capture_output=True, text=True, check=True
    )
    os.kill(int(found.stdout), signal.SIGKILL)


def _settled_score(ledger: str) -> dict[str, Any] | None:
    """The score once every record of `ledger` was due; None before."""
    score = json.loads(inside(f"python -m generator score --json --ledger {ledger}", check=False) or "null")
    return score if score and score["ledger"]["pending"] == 0 else None


def _status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(compose("run", "--rm", "--no-TTY", "pipeline", "status", "--json", check=False))
    return found


@pytest.fixture(scope="module")
def running() -> Iterator[None]:
    compose("down", "--volumes", "--remove-orphans")
    try:
        compose("up", "--detach", "--wait", "--no-build", "--pull", "never")
        yield
    except BaseException:
        print(compose("logs", "--tail", "15", check=False))  # noqa: T201  # shown by pytest with the failure
        raise
    finally:
        compose("down", "--volumes", "--remove-orphans", check=False)


@pytest.mark.usefixtures("running")
def test_compose_killed_parts_come_back_and_every_record_has_one_fate() -> None:
    ledger = "/state/generator/ledger-of-the-test"
    script = f"python -m generator --rate 1000 --limit {RECORDS} --seed 5 --ledger {ledger} --health /tmp/health.json"
    sender = subprocess.Popen(
        ["docker", "compose", "--project-name", PROJECT_NAME, "run", "--rm", "--no-TTY", "--no-deps",
         "--entrypoint", "sh", "pipeline", "-c", f'eval "$(pipeline env)"; exec {script}'],
        cwd=PROJECT, env={**os.environ, "POSTGRES_PASSWORD": "a: long \\ one"}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for service in ("taskmanager-lakehouse", "jobmanager", "kafka", "postgres"):
        time.sleep(8)  # of traffic between two kills
        kill(service)
    assert sender.wait(timeout=180) == 0
    score = eventually(lambda: _settled_score(ledger), "records are still due", seconds=240)
    assert score["ledger"]["scored"] == RECORDS
    assert score["clean"], score


@pytest.mark.usefixtures("running")
def test_compose_the_same_commands_work_and_all_is_healthy_again() -> None:
    eventually(lambda: _status()["healthy"], "not everything is healthy", seconds=120)
    (row,) = compose(
        "run", "--rm", "--no-TTY", "pipeline", "query", "--output", "json", "select count(*) as n from transactions"
    ).splitlines()
    assert json.loads(row)["n"] > 0.9 * RECORDS
    refused = compose("run", "--rm", "--no-TTY", "pipeline", "down", check=False)
    assert "The pipeline is down" not in refused


@pytest.mark.usefixtures("running")
def test_compose_whole_pipeline_takes_less_memory_than_promised() -> None:
    lines = compose("stats", "--no-stream", "--format", "json").splitlines()
    used = [json.loads(line)["MemUsage"].partition(" ")[0] for line in lines]
    mib = sum(
        float(text.rstrip("GMKiB")) * {"GiB": 1024, "MiB": 1, "KiB": 1 / 1024}[text.lstrip("0123456789.")]
        for text in used
    )
    assert 1_000 < mib < MEMORY_MIB


@pytest.mark.usefixtures("running")
def test_compose_pages_answer_on_loopback() -> None:
    for url in ("http://127.0.0.1:3000/server_info", "http://127.0.0.1:8081/overview"):
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert answer.status == 200
