"""The settings come from the file, the environment goes before it, and no misspelling passes unseen."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.kafka_access import KafkaAccess
from contracts.paths import PROJECT
from contracts.settings import Settings, load_settings, variables
from tests.config_copies import replaced


def test_load_settings_file_of_the_project_is_the_defaults() -> None:
    assert load_settings() == Settings()


def test_load_settings_value_in_the_file_is_taken(config: Path) -> None:
    replaced(config / "pipeline.yaml", "port: 9092", "port: 19092")
    assert load_settings().kafka.port == 19092


def test_load_settings_environment_goes_before_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(config / "pipeline.yaml", "port: 9092", "port: 19092")
    monkeypatch.setenv("PIPELINE_KAFKA__PORT", "0")
    monkeypatch.setenv("PIPELINE_READY_SECONDS", "30")
    settings = load_settings()
    assert (settings.kafka.port, settings.ready_seconds) == (0, 30)
    assert settings.kafka.controller_port == 9093, "what the variable does not name stays as in the file"


def test_load_settings_folder_given_is_read_instead(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(config / "pipeline.yaml", "rest_port: 8081", "rest_port: 18081")
    monkeypatch.delenv("PIPELINE_CONFIG")
    assert load_settings(config).flink.rest_port == 18081
    assert load_settings().flink.rest_port == 8081


# Any text will do for a path; all else has a form, which this one has not.
@pytest.mark.parametrize("name", sorted(set(variables()) - {"PIPELINE_STATE", "PIPELINE_KAFKA__CA_FILE"}))
def test_load_settings_every_variable_is_heard(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, 'not a "number"')
    with pytest.raises(ConfigError, match=f"environment variable {name}: .*found 'not a \"number\"'"):
        load_settings()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"KAFKA__SECURITY_PROTOCOL": "SSL"}, "name their bootstrap_servers"),
        ({"KAFKA__REPLICATION": "3"}, "name their bootstrap_servers"),
        ({"KAFKA__BOOTSTRAP_SERVERS": "k:9092", "KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}, "asks for a username"),
        ({"KAFKA__BOOTSTRAP_SERVERS": "k"}, "BOOTSTRAP_SERVERS: .*expected host:port"),
        ({"FLINK__REST_URL": "https://flink:8081"}, "expected http://host:port"),
        ({"FLINK__REST_URL": "http://flink"}, "expected http://host:port"),
        ({"LAKE__CATALOG": "sqlite:///x"}, "expected postgresql://user@host:5432/database"),
        ({"LAKE__CATALOG": "postgresql://u@h/lake"}, "expected postgresql://user@host:5432/database"),
        ({"LAKE__CATALOG": "postgresql://u:p@h:5432/lake"}, "holds a password.*PGPASSWORD"),
        ({"DAGSTER__STORAGE": "postgresql://h:5432/lake"}, "expected postgresql://user@host:5432/database"),
        ({"LAKE__WAREHOUSE": "gs://bucket/lake"}, "LAKE__WAREHOUSE: .*expected s3://bucket/path"),
        ({"DAGSTER__HOST": "a b"}, "DAGSTER__HOST"),
    ],
)
def test_load_settings_what_runs_elsewhere_badly_named_says_how(
    settings: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"PIPELINE_{name}", value)
    with pytest.raises(ConfigError, match=complaint):
        load_settings()


def test_addresses_of_what_runs_elsewhere_are_as_configured() -> None:
    settings = Settings.model_validate(
        {
            "kafka": {
                "bootstrap_servers": "a:9093,b:9093", "security_protocol": "SASL_SSL", "username": "me",
                "ca_file": "certificates/ca.pem",
            },
            "flink": {"rest_url": "http://flink:8081/"},
            "lake": {"catalog": "postgresql://me@db:5432/lake", "warehouse": "s3://bucket/tables"},
            "dagster": {"host": "web"},
        }
    )  # fmt: skip
    found = settings.addresses(kafka_port=1, flink_rest_port=2, dagster_port=3)
    assert found.kafka == KafkaAccess(
        "a:9093,b:9093", "SASL_SSL", "SCRAM-SHA-512", "me", str(PROJECT / "certificates" / "ca.pem")
    )
    assert (found.flink_rest_url, found.flink_rest) == ("http://flink:8081", ("flink", 8081))
    assert found.iceberg_catalog_uri == "postgresql://me@db:5432/lake"
    assert (found.iceberg_warehouse, found.dagster_url) == ("s3://bucket/tables", "http://web:3")


def test_addresses_certificates_in_the_users_home_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/of/me")
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "a:1", "ca_file": "~/ca.pem"}})
    found = settings.addresses(kafka_port=1, flink_rest_port=2, dagster_port=3)
    assert found.kafka_ca_file == "/of/me/ca.pem"


def test_addresses_of_all_that_runs_here_are_this_machine() -> None:
    settings = Settings()
    local = Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=2, dagster_port=3)
    assert settings.addresses(kafka_port=1, flink_rest_port=2, dagster_port=3) == local


@pytest.mark.parametrize(
    ("settings", "elsewhere"),
    [
        ({}, set()),
        ({"kafka": {"bootstrap_servers": "k:9092"}}, {"kafka"}),
        ({"flink": {"rest_url": "http://f:8081"}}, {"jobmanager", "taskmanager-alerting", "taskmanager-lakehouse"}),
        ({"flink": {"rest_url": "http://f:8081", "dedicated_taskmanagers": False}}, {"jobmanager"}),
        ({"supervised": False}, set(names.COMPONENTS) - {"jobs"}),
    ],
)
def test_elsewhere_is_what_is_named_so(settings: dict[str, object], elsewhere: set[str]) -> None:
    assert Settings.model_validate(settings).elsewhere == elsewhere


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("PIPELINE_KAFKA__PROT", "PIPELINE_KAFKA__PORT"),
        ("PIPELINE_KAFKA_PORT", "PIPELINE_KAFKA__PORT"),
        ("PIPELINE_SATE", "PIPELINE_STATE"),
        ("PIPELINE_KAFKA", "PIPELINE_KAFKA__PORT"),
        ("PIPELINE_KAFKA__PORT__X", "PIPELINE_KAFKA__PORT"),
        ("PIPELINE_STATE__X", "PIPELINE_STATE"),
        ("pipeline_kafka__prot", "PIPELINE_KAFKA__PORT"),
        ("PIPELINE_UTTERLY_DIFFERENT", "PIPELINE_"),
    ],
)
def test_load_settings_misspelt_variable_is_refused_with_its_neighbours(
    name: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=f"environment variable {name}: no such setting.*{remedy}"):
        load_settings()


@pytest.mark.parametrize("name", ["PIPELINE_CACHE", "PIPELINE_CONFIG", "PIPELINE_SESSION"])
def test_load_settings_variable_of_another_purpose_is_let_be(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(config))
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIPELINE_KAFKA__PORT", "many"),
        ("PIPELINE_KAFKA__PORT", "70000"),
        ("PIPELINE_READY_SECONDS", "1"),
        ("PIPELINE_FLINK__STATE_HOURS", "1.5"),
    ],
)
def test_load_settings_wrong_value_in_a_variable_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"environment variable {name}: .*found '{value}'"):
        load_settings()


@pytest.mark.parametrize(
    ("old", "new", "path"), [("port: 9092", "port: x", "kafka.port"), ("heap_mb:", "heap:", "kafka.heap")]
)
def test_load_settings_wrong_value_in_the_file_names_file_line_and_path(
    config: Path, old: str, new: str, path: str
) -> None:
    line = replaced(config / "pipeline.yaml", old, new)
    with pytest.raises(ConfigError) as refusal:
        load_settings()
    assert (refusal.value.source, refusal.value.line, refusal.value.path) == (config / "pipeline.yaml", line, path)


def test_load_settings_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path)


def test_load_settings_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_STATE", "")
    assert load_settings().paths.root == PROJECT / ".pipeline"


def test_paths_relative_state_is_a_folder_of_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings().paths.root == PROJECT / ".pipeline"


def test_paths_state_of_the_environment_is_where_everything_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINE_STATE", str(tmp_path / "a" / ".." / "b"))
    paths = load_settings().paths
    assert paths.root == (tmp_path / "b").resolve()
    everything = (
        paths.addresses, paths.run, paths.logs, paths.kafka, paths.flink, paths.checkpoints, paths.catalog,
        paths.warehouse,
        paths.dagster, paths.generator,
    )  # fmt: skip
    assert all(path.is_relative_to(paths.root) and path.is_absolute() for path in everything)
    assert not paths.root.exists()


def test_paths_state_in_the_home_folder_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_STATE", "~/state")
    assert load_settings().paths.root == (tmp_path / "state").resolve()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().ready_seconds = 1
