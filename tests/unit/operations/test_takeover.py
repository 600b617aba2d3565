"""That a process notices when the one that started it is gone."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.addresses import Addresses
from contracts.paths import PROJECT, StatePaths
from contracts.settings import Flink, Kafka, Settings
from operations.embedded.takeover import same_ports

_CHILD = (
    "import time; from operations.embedded.takeover import Orphanhood; orphaned = Orphanhood();"
    "assert not orphaned; print('child', flush=True)\n"
    "while not orphaned: time.sleep(0.01)\n"
    "print('orphaned', flush=True)"
)
_PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_CHILD!r}])"


@pytest.fixture
def addresses(tmp_path: Path) -> Addresses:
    return Addresses.local(state=StatePaths(tmp_path), kafka_port=1, flink_rest_port=2, dagster_port=3)


def test_orphanhood_begins_when_the_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "child\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.readline() == "orphaned\n"


def test_same_ports_are_those_that_clients_know(addresses: Addresses) -> None:
    assert same_ports(addresses, Settings()) == {
        "PIPELINE_KAFKA__PORT": "1",
        "PIPELINE_FLINK__REST_PORT": "2",
        "PIPELINE_DAGSTER__PORT": "3",
    }


def test_same_ports_of_what_runs_elsewhere_are_not_ours(addresses: Addresses) -> None:
    elsewhere = Settings(kafka=Kafka(bootstrap_servers="k:9092"), flink=Flink(rest_url="http://f:8081"))
    assert same_ports(addresses, elsewhere) == {"PIPELINE_DAGSTER__PORT": "3"}
