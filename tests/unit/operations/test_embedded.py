"""The configuration and the commands of the embedded broker and Flink, as files and argument lists. Starts nothing."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from contracts import names
from contracts.errors import ComponentFailed
from contracts.paths import PROJECT, StatePaths, contracts_folder
from contracts.settings import Flink, Kafka
from operations.embedded.broker import Broker
from operations.embedded.flink import FlinkCluster, distribution
from operations.embedded.jvm import java_command, write_log_configuration
from operations.embedded.storage import _move_databases, keep_contracts
from tests.config_copies import changed_contract, copy_of_config


def broker(folder: Path, java: Path) -> Broker:
    return Broker(folder / "kafka", java, (Path("/jars/a.jar"), Path("/jars/b.jar")), Kafka(heap_mb=300), 19092, 19093)


def cluster(state: Path, settings: Flink | None = None) -> FlinkCluster:
    return FlinkCluster(
        StatePaths(state), Path("/jdk/bin/java"), (Path("/jars/kafka.jar"),), (Path("/jars/hadoop.jar"),),
        settings or Flink(), 18081, 16123
    )  # fmt: skip


def formatted(folder: Path) -> None:
    """As if Kafka's own tool had run."""
    (folder / "kafka" / "logs").mkdir(parents=True)
    (folder / "kafka" / "logs" / "meta.properties").touch()


def arguments_of_format(folder: Path) -> list[str]:
    """What Java is called with where a new folder is prepared."""
    java = folder / "java"
    java.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/arguments\n')
    java.chmod(0o755)
    broker(folder, java).prepare()
    return (folder / "arguments").read_text().splitlines()


def test_broker_prepare_writes_ports_and_folder_and_leaves_formatted_logs_alone(tmp_path: Path) -> None:
    formatted(tmp_path)
    broker(tmp_path, Path("/no/java")).prepare()
    lines = (tmp_path / "kafka" / "server.properties").read_text().splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093" in lines
    assert f"log.dirs={tmp_path}/kafka/logs" in lines
    assert "auto.create.topics.enable=false" in lines


def test_broker_prepare_formats_a_new_folder_with_kafkas_tool(tmp_path: Path) -> None:
    arguments = arguments_of_format(tmp_path)
    assert arguments[arguments.index("kafka.tools.StorageTool") + 1] == "format"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", arguments[arguments.index("-t") + 1])
    assert arguments[-1] == str(tmp_path / "kafka" / "server.properties")


def test_broker_prepare_random_id_with_a_dash_in_front_is_not_given_to_kafkas_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter((UUID(bytes=b"\xfb" * 16), UUID(bytes=b"\xf8" + bytes(15)), UUID(int=7)))
    monkeypatch.setattr("operations.embedded.broker.uuid.uuid4", lambda: next(drawn))
    arguments = arguments_of_format(tmp_path)
    assert arguments[arguments.index("-t") + 1] == "AAAAAAAAAAAAAAAAAAAABw"


def test_broker_prepare_refused_format_is_told_in_kafkas_words(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'log directory is not writable' >&2\nexit 1\n")
    java.chmod(0o755)
    with pytest.raises(ComponentFailed, match=r"could not format .*kafka/logs: log directory is not writable"):
        broker(tmp_path, java).prepare()


def test_broker_command_runs_kafka_on_the_pinned_jars_alone(tmp_path: Path) -> None:
    command = broker(tmp_path, Path("/jdk/bin/java")).command()
    assert command[0] == "/jdk/bin/java"
    assert command[command.index("-cp") + 1] == "/jars/a.jar:/jars/b.jar"
    assert command[-2:] == ("kafka.Kafka", str(tmp_path / "kafka" / "server.properties"))
    assert {"-Xms150m", "-Xmx300m"} <= set(command)


def test_flink_prepare_writes_a_configuration_that_reads_back(tmp_path: Path) -> None:
    flink = cluster(tmp_path, Flink(alerting_parallelism=3, lakehouse_parallelism=2))
    flink.prepare()
    written = yaml.safe_load((flink.configuration_folder / "config.yaml").read_text())
    assert written == flink.configuration()
    assert (written["rest.port"], written["rest.bind-port"], written["jobmanager.rpc.port"]) == (18081, "18081", 16123)
    expected = {f"{name}.properties" for name in (names.JOBMANAGER, *names.TASKMANAGERS.values(), "log4j-cli")}
    assert expected <= {path.name for path in flink.configuration_folder.iterdir()}


def test_flink_configuration_is_reachable_from_this_machine_alone(tmp_path: Path) -> None:
    configuration = cluster(tmp_path).configuration()
    assert {configuration[key] for key in configuration if key.endswith(("bind-host", "bind-address"))} == {"127.0.0.1"}
    assert configuration["web.submit.enable"] is False


def test_flink_environment_finds_flink_java_the_jars_and_our_own_modules(tmp_path: Path) -> None:
    environment = cluster(tmp_path).environment()
    assert environment["FLINK_HOME"] == str(distribution())
    assert environment["JAVA_HOME"] == "/jdk"
    assert environment["HADOOP_CLASSPATH"] == "/jars/hadoop.jar:/jars/kafka.jar"
    folders = environment["PYTHONPATH"].split(":")
    assert folders[0] == str(PROJECT)
    assert any((Path(folder) / "pemja").is_dir() for folder in folders), "thread mode needs it"


@pytest.mark.parametrize("role", [names.JOBMANAGER, *names.TASKMANAGERS.values()])
def test_flink_commands_start_java_with_the_distribution_and_its_log_configuration(tmp_path: Path, role: str) -> None:
    flink = cluster(tmp_path)
    commands = {names.TASKMANAGERS[job]: flink.taskmanager_command(job) for job in names.JOBS}
    command = commands.get(role) or flink.jobmanager_command()
    jars = [Path(jar) for jar in command[command.index("-cp") + 1].split(":")]
    assert [
        name for name in ("flink-dist-", "flink-python-") if not any(jar.name.startswith(name) for jar in jars)
    ] == []
    assert jars[-2:] == [Path("/jars/kafka.jar"), Path("/jars/hadoop.jar")]
    assert f"-Dlog4j2.configurationFile={flink.configuration_folder}/{role}.properties" in command
    assert command[command.index("--configDir") + 1] == str(flink.configuration_folder)


def test_distribution_has_the_libraries_that_the_commands_need() -> None:
    assert list((distribution() / "lib").glob("flink-dist-*.jar"))


def test_write_log_configuration_lines_are_json_with_component_and_session(tmp_path: Path) -> None:
    path = write_log_configuration(
        tmp_path / "new" / "log4j2.properties", component="kafka", level="warn", quiet=("a.b", "c")
    )
    settings = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    pattern = settings["appender.out.layout.pattern"].removesuffix("%n")
    assert {"component": "kafka", "session_id": "${env:PIPELINE_SESSION:-}"}.items() <= json.loads(pattern).items()
    assert settings["rootLogger.level"] == "warn"
    assert {settings["logger.quiet0.name"], settings["logger.quiet1.name"]} == {"a.b", "c"}
    assert "@" not in path.read_text()


def test_java_command_puts_options_before_the_class_and_arguments_behind() -> None:
    command = java_command(
        Path("/j"), main_class="M", classpath=["a", Path("b")], options=["-Xmx1m"], arguments=["x", "y"]
    )
    assert command[-5:] == ("-cp", "a:b", "M", "x", "y")
    assert command.index("-Xmx1m") < command.index("-cp")


def test_keep_contracts_edit_of_a_running_pipeline_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, paths = copy_of_config(tmp_path), StatePaths(tmp_path / "state")
    monkeypatch.setenv("PIPELINE_CONFIG", str(config))
    keep_contracts(paths)
    original = (config / "contracts" / "transaction.schema.json").read_bytes()
    changed_contract(config, "transaction", lambda schema: schema["properties"].pop("country"))
    monkeypatch.setenv("PIPELINE_CONTRACTS", str(paths.contracts))
    keep_contracts(paths)  # by a process of the pipeline, which starts everything anew
    assert (contracts_folder() / "transaction.schema.json").read_bytes() == original
    monkeypatch.delenv("PIPELINE_CONTRACTS")
    keep_contracts(paths)  # by `pipeline up`
    assert (paths.contracts / "transaction.schema.json").read_bytes() != original


def test_move_databases_after_an_interruption_moves_what_is_missing(tmp_path: Path) -> None:
    home, aside = tmp_path / "dagster", tmp_path / "dagster" / "new"
    for name in ("schedules", "new/schedules", "new/history"):
        (home / name).mkdir(parents=True)
        (home / name / f"{Path(name).name}.db").touch()
    (aside / "dagster.yaml").touch()
    _move_databases(aside, home)
    assert (home / "history" / "history.db").exists()
    assert (home / "schedules" / "schedules.db").exists()
