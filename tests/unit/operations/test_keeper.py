"""What the job keeper submits after a look at Flink; the client that it would start is only noted down."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.settings import Settings
from operations.keeper import Keeper, Submission
from operations.rules.switch import want_what_is_configured
from streaming.rules.book import load_rules, rules_text
from tests.rule_switch import Flink


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The jobs of each submission, as the client is told of them."""
    found: list[list[str]] = []

    class Client(subprocess.Popen[bytes]):
        def __init__(self, command: list[str]) -> None:
            found.append(command[3:])
            super().__init__([sys.executable, "-c", ""])

    monkeypatch.setattr("operations.keeper.subprocess.Popen", Client)
    return found


@pytest.fixture
def keeper(tmp_path: Path, submitted: list[list[str]]) -> Keeper:
    settings = Settings(state=tmp_path / "state")
    addresses = Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=2, dagster_port=3)
    want_what_is_configured(settings, addresses)
    return Keeper(addresses, settings)


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(answer))


def test_look_where_nothing_listens_submits_both_jobs_at_once(keeper: Keeper, submitted: list[list[str]]) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    keeper.switch.flink = answering(refuse)
    keeper.look()
    assert submitted == [[f"{names.ALERTING_JOB}@1", names.LAKEHOUSE_JOB]]
    assert keeper.client is not None
    keeper.client.process.wait()


def test_look_jobmanager_that_is_only_slow_submits_nothing(keeper: Keeper, submitted: list[list[str]]) -> None:
    def hang(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    keeper.switch.flink = answering(hang)
    with pytest.raises(NotRunning):
        keeper.look()
    assert submitted == []


def test_look_at_a_flink_without_jobs_submits_both(keeper: Keeper, submitted: list[list[str]]) -> None:
    keeper.switch.flink = Flink().client()
    keeper.look()
    assert submitted == [[f"{names.ALERTING_JOB}@1", names.LAKEHOUSE_JOB]]
    assert keeper.client is not None
    keeper.client.process.wait()


@pytest.mark.parametrize(("exit_code", "state"), [(NotRunning.exit_code, "wanted"), (1, "failed")])
def test_look_after_a_client_that_found_a_part_still_starting_wants_the_rules_as_before(
    keeper: Keeper, exit_code: int, state: str
) -> None:
    """Flink may have taken the job already and not tell of it yet; what it refuses is given up."""
    hot = keeper.switch.deployments.want(load_rules(), rules_text(), reason="a test", cold=False)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    process.returncode = exit_code
    keeper._note_end(Submission(process, (hot,)))
    assert keeper.switch.deployments.get(hot.number).state == state
