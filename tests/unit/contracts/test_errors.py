"""Exit codes are an interface: scripts depend on them."""

from pathlib import Path

import pytest

from contracts import errors
from contracts.paths import PROJECT

EXIT_CODES = {
    "PipelineError": 1,
    "ConfigError": 4,
    "MachineError": 5,
    "JavaMissing": 5,
    "PortTaken": 5,
    "JarError": 5,
    "NotRunning": 3,
    "NoLedger": 3,
    "ComponentFailed": 1,
    "TableDamaged": 1,
    "QueryError": 1,
    "CheckError": 1,
}


def test_exit_codes_are_the_documented_ones() -> None:
    found = {
        name: thing.exit_code
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.PipelineError)
    }
    assert found == EXIT_CODES


def test_errors_tree_in_the_docstring_names_every_error() -> None:
    assert [name for name in EXIT_CODES if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.ConfigError("VARIABLE", "is wrong"), "VARIABLE: is wrong"),
        (errors.ConfigError(Path("a.yaml"), "is wrong", line=3), "a.yaml:3: is wrong"),
        (errors.ConfigError(Path("a.yaml"), "is wrong", path="b.c", line=3), "a.yaml:3: b.c: is wrong"),
        (errors.ConfigError(Path("a.yaml"), "is wrong", path="b.c"), "a.yaml: b.c: is wrong"),
    ],
)
def test_config_error_message_has_every_place_that_is_known(error: errors.ConfigError, text: str) -> None:
    assert str(error) == text


def test_port_taken_message_names_the_holder_and_a_command_that_helps() -> None:
    error = errors.PortTaken(port=9092, purpose="Kafka", variable="PIPELINE_KAFKA__PORT", holder="java (pid 7)")
    assert "port 9092 (Kafka) is in use by java (pid 7)" in str(error)
    assert "PIPELINE_KAFKA__PORT=0 pipeline up" in str(error)
    unknown = errors.PortTaken(port=9092, purpose="Kafka", variable="PIPELINE_KAFKA__PORT", holder=None)
    assert "is in use. Stop" in str(unknown)


@pytest.mark.parametrize(
    ("error", "page"),
    [
        (errors.ConfigError(Path("config/alerting-rules.yaml"), "is wrong", line=3), "docs/rules.md"),
        (errors.ConfigError(Path("config/pipeline.yaml"), "is wrong", path="lake.catalog"), "docs/deployment.md"),
        (errors.ConfigError(Path("config/pipeline.yaml"), "is wrong", path="kafka.port"), None),
        (errors.ConfigError("environment variable KAFKA_PASSWORD", "is not set"), "docs/deployment.md"),
        (errors.CheckError("a data file is gone"), "docs/quality.md"),
        (errors.NoLedger("nothing was sent"), "docs/generator.md"),
    ],
)
def test_page_of_an_error_is_the_one_on_what_is_wrong(error: errors.PipelineError, page: str | None) -> None:
    assert error.page == page
    assert page is None or (PROJECT / page).is_file()
