"""What a container becomes, and what goes before. The containers themselves: tests/integration/test_compose.py."""

import http.server
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from contracts import names
from contracts.errors import ConfigError, NotRunning, TableDamaged
from contracts.sessions import SESSION_VARIABLE
from contracts.settings import Dagster, Flink, Kafka, Settings
from operations.containers import COMPONENTS, become, prepare

KAFKA, FLINK = Kafka(bootstrap_servers="kafka:9092"), Flink(rest_url="http://127.0.0.1:1")


class Became(Exception):
    """What a process was replaced by."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command, self.environment = command, environment


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    def replace(_file: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        raise Became(command, environment)

    monkeypatch.setattr(os, "execvpe", replace)
    return Settings(
        state=tmp_path, supervised=False, kafka=KAFKA, flink=FLINK, dagster=Dagster(port=1), listen="0.0.0.0"
    )


@pytest.fixture
def web() -> Iterator[str]:
    """A server that answers everything."""

    class Yes(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Yes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_prepare_makes_the_tables_and_what_the_components_share(settings: Settings) -> None:
    session = prepare(settings)
    paths = settings.paths
    assert paths.session.read_text() == session
    for made in (paths.addresses, paths.catalog, paths.contracts, paths.dagster / "dagster.yaml", paths.flink / "conf"):
        assert made.exists(), made
    assert "jobmanager.bind-host: 0.0.0.0" in (paths.flink / "conf" / "config.yaml").read_text()


def test_prepare_again_after_all_has_ended_begins_another_session(settings: Settings) -> None:
    assert prepare(settings) != prepare(settings)


def test_prepare_over_a_damaged_catalog_is_refused_and_makes_no_tables(settings: Settings) -> None:
    settings.paths.catalog.parent.mkdir(parents=True)
    settings.paths.catalog.write_bytes(b"no database at all")
    with pytest.raises(TableDamaged, match=r"catalog\.db is not a SQLite file any more"):
        prepare(settings)
    assert not settings.paths.session.exists()


def test_prepare_while_the_pipeline_runs_leaves_its_session_alone(settings: Settings, web: str) -> None:
    port = int(web.rpartition(":")[2])
    running = settings.model_copy(update={"dagster": Dagster(port=port)})
    session = prepare(running)
    assert prepare(running) == session


@pytest.mark.parametrize("component", COMPONENTS)
def test_become_is_the_command_of_the_component_in_the_environment_of_the_session(
    component: str, settings: Settings
) -> None:
    settings.paths.run.mkdir(parents=True)
    settings.paths.session.write_text("a session")
    with pytest.raises(Became) as process:
        become(settings, component)
    words = " ".join(process.value.command)
    assert {
        names.JOBMANAGER: "StandaloneSessionClusterEntrypoint",
        names.JOB_KEEPER: "operations.keeper",
        names.GENERATOR: "-m generator",
        names.CODE_SERVER: "api grpc",
        names.DAEMON: "dagster-daemon run",
        names.WEBSERVER: "dagster-webserver -w",
    }.get(component, "TaskManagerRunner") in words
    environment = process.value.environment
    assert environment[SESSION_VARIABLE] == "a session"
    assert environment["KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
    assert ("FLINK_HOME" in environment) == (component.startswith(("job", "task")))


def test_become_before_prepare_says_what_goes_first(settings: Settings) -> None:
    with pytest.raises(NotRunning, match="pipeline prepare"):
        become(settings, names.JOBMANAGER)


@pytest.mark.parametrize("component", ["kafka", "zookeeper"])
def test_become_of_what_has_no_image_of_ours_names_those_that_have(component: str, settings: Settings) -> None:
    with pytest.raises(ConfigError, match=f"no such component: {component}; there are jobmanager, "):
        become(settings, component)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Settings(), "supervised: is true"),
        (Settings(supervised=False, kafka=KAFKA), "name kafka.bootstrap_servers and flink.rest_url"),
        (Settings(supervised=False, flink=FLINK), "name kafka.bootstrap_servers and flink.rest_url"),
    ],
)
def test_prepare_and_become_of_a_pipeline_that_is_no_matter_of_containers_are_refused(
    settings: Settings, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        prepare(settings)
    with pytest.raises(ConfigError, match=complaint):
        become(settings, names.JOBMANAGER)
