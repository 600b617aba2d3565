"""A pipeline of which nothing but the control plane is its own: brokers with TLS and a login, a Flink session cluster,
PostgreSQL and an S3 server run elsewhere, and are named in the configuration.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import names
from contracts.paths import PROJECT
from tests.integration.accounting import assert_one_fate_each, await_fates, cut, send
from tests.integration.conftest import CommandLine, command_line, up_without_generator
from tests.integration.servers import (
    S3_SECRET,
    USER,
    flink_cluster,
    postgres_programs,
    postgres_server,
    s3_server,
    secure_broker,
)

pytestmark = [pytest.mark.long, pytest.mark.in_order]

KAFKA_PASSWORD, POSTGRES_PASSWORD = "what Kafka knows: 1", "what:PostgreSQL knows"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    postgres_programs()
    kafka, flink, s3, state = (tmp_path_factory.mktemp(name).resolve() for name in ("kafka", "flink", "s3", "pipeline"))
    # A session cluster's own way to the password, as it would be mounted there.
    passwords = flink / "pgpass"
    passwords.write_text("*:*:*:*:" + POSTGRES_PASSWORD.replace(":", r"\:") + "\n")
    passwords.chmod(0o600)
    with (
        pytest.MonkeyPatch.context() as patch,
        postgres_server(POSTGRES_PASSWORD, "lake", "dagster") as postgres,
        secure_broker(kafka, KAFKA_PASSWORD) as (servers, ca_file),
        s3_server(s3, "lake") as bucket,
        flink_cluster(flink, **bucket, KAFKA_PASSWORD=KAFKA_PASSWORD, PGPASSFILE=str(passwords)) as rest_url,
    ):
        for name, value in bucket.items():
            patch.setenv(name, value)
        patch.setenv("KAFKA_PASSWORD", KAFKA_PASSWORD)
        patch.setenv("PGPASSWORD", POSTGRES_PASSWORD)
        command = command_line(
            state,
            PIPELINE_KAFKA__BOOTSTRAP_SERVERS=servers,
            PIPELINE_KAFKA__SECURITY_PROTOCOL="SASL_SSL",
            PIPELINE_KAFKA__USERNAME=USER,
            PIPELINE_KAFKA__CA_FILE=str(ca_file),
            PIPELINE_FLINK__REST_URL=rest_url,
            PIPELINE_FLINK__DEDICATED_TASKMANAGERS="false",
            PIPELINE_LAKE__CATALOG=f"{postgres}/lake",
            PIPELINE_LAKE__WAREHOUSE="s3://lake/tables",
            PIPELINE_DAGSTER__STORAGE=f"{postgres}/dagster",
        )
        with up_without_generator(command):
            yield command


def test_pipeline_of_clusters_elsewhere_gives_every_record_one_fate(pipeline: CommandLine, tmp_path: Path) -> None:
    sender = send(pipeline, seed=7, limit=3_000, rate=1_000, ledger=tmp_path)
    assert sender.wait(timeout=60) == 0
    await_fates(pipeline, 3_000)
    addresses = pipeline.addresses()
    assert_one_fate_each(addresses, cut(addresses))
    (alerts,) = pipeline.query("SELECT count(*) AS rows, count(DISTINCT alert_id) AS ids FROM alerts")
    assert alerts["rows"] == alerts["ids"] > 0
    assert not (pipeline.state / "lake" / "warehouse").exists(), "tables lie in the bucket"


def test_status_of_clusters_elsewhere_tells_how_they_are(pipeline: CommandLine) -> None:
    found = json.loads(pipeline("status", "--json").stdout)
    components = {component["name"]: component for component in found["components"]}
    for name in (names.BROKER, names.JOBMANAGER):
        assert (components[name]["health"], components[name]["pid"]) == ("healthy", None)
    assert not set(components) & set(names.TASKMANAGERS.values()), "the cluster knows nothing of ours"
    assert found["lake"]["alert_latency"]["count"] > 0


def test_pipeline_of_clusters_elsewhere_leaves_its_passwords_in_no_file_but_the_one_for_java(
    pipeline: CommandLine,
) -> None:
    holders = [
        path.relative_to(pipeline.state)
        for path in pipeline.state.rglob("*")
        if path.is_file()
        for secret in (KAFKA_PASSWORD, S3_SECRET, POSTGRES_PASSWORD, POSTGRES_PASSWORD.replace(":", r"\:"))
        if secret.encode() in path.read_bytes()
    ]
    assert holders == [Path("run/pgpass")]
    assert (pipeline.state / "run" / "pgpass").stat().st_mode & 0o077 == 0


def test_query_of_tables_in_a_bucket_writes_nothing_and_shows_no_key(pipeline: CommandLine) -> None:
    for sql in (
        "COPY (SELECT 1) TO 's3://lake/tables/x.csv'",
        "SELECT * FROM read_text('s3://another/x')",
        "SELECT * FROM read_text('/etc/passwd')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 's3://lake/tables/x.csv'",
    ):
        assert pipeline("query", sql, check=False).returncode == 1, sql
    shown = pipeline("query", "--output", "csv", "SELECT * FROM duckdb_secrets()", check=False)
    assert S3_SECRET not in shown.stdout + shown.stderr


def test_dagster_with_its_history_in_postgres_materializes_and_prunes(pipeline: CommandLine) -> None:
    home = {"DAGSTER_HOME": str(pipeline.state / "dagster")}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dagster"), "job", "execute", "-m", "pipeline_assets.definitions",
         "-j", "lake_maintenance"],
        capture_output=True, text=True, timeout=120, cwd=PROJECT, check=False,
        env={**pipeline.environment, **pipeline.addresses().to_environment(), **home},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def test_wrong_password_stops_the_start_and_names_the_variable(pipeline: CommandLine, tmp_path: Path) -> None:
    without = {name: value for name, value in pipeline.environment.items() if name != "KAFKA_PASSWORD"}
    done = CommandLine(tmp_path, {**without, "PIPELINE_STATE": str(tmp_path)})("up", "--detach", check=False)
    assert done.returncode == 4
    assert "environment variable KAFKA_PASSWORD: is not set" in done.stderr


def test_down_and_up_of_clusters_elsewhere_go_on_where_they_stopped(pipeline: CommandLine, tmp_path: Path) -> None:
    pipeline("down")
    pipeline("up", "--detach", "--no-generator")
    sender = send(pipeline, seed=8, limit=1_000, rate=1_000, ledger=tmp_path)
    assert sender.wait(timeout=60) == 0
    await_fates(pipeline, 4_000)
    addresses = pipeline.addresses()
    assert_one_fate_each(addresses, cut(addresses))
