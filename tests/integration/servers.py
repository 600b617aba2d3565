"""Servers that a pipeline finds running elsewhere: brokers with TLS and a login, a Flink cluster, PostgreSQL."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg2
import pytest
import tenacity
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from contracts import names
from contracts.paths import StatePaths
from contracts.settings import Flink
from operations.embedded.flink import FlinkCluster
from operations.embedded.jvm import java_command, write_log_configuration
from operations.jars import flink_jars, hadoop_jars, kafka_jars, s3_jars
from operations.java import find_java
from operations.ports import free_ports
from tests.integration.conftest import COMPILED_ONCE

USER = "pipeline"
S3_SECRET = "what S3 knows"

# The brokers' own listener and the controller's are theirs alone; what clients are given asks for TLS and a login.
_SECURE_BROKER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{port},OWN://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=CLIENTS:SASL_SSL,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=OWN
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
message.max.bytes=4194304
replica.fetch.max.bytes=4194304
group.initial.rebalance.delay.ms=0
"""


@contextmanager
def _process(
    command: Sequence[str], log: Path, *, user: str | None = None, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    with (
        log.open("ab") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, user=user, env=environment) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def secure_broker(folder: Path, password: str) -> Iterator[tuple[str, Path]]:
    """A broker that lets in `USER` with that password, over TLS; its address, and the certificate of who signed its."""
    authority, java = trustme.CA(), find_java().executable
    ca_file, keystore, logs = folder / "ca.pem", folder / "broker.pem", folder / "logs"
    authority.cert_pem.write_to_path(str(ca_file))
    issued = authority.issue_cert("127.0.0.1")
    # Of the forms that a key can have, Java reads PKCS #8 alone.
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    keystore.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    port, own, controller = free_ports(3)
    properties = folder / "server.properties"
    properties.write_text(
        _SECURE_BROKER.format(port=port, own=own, controller=controller, keystore=keystore, logs=logs)
    )
    write_log_configuration(folder / "log4j2.properties", component="kafka", level="warn")
    options = ("-Xmx256m", f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}")

    def run(main_class: str, *arguments: str) -> tuple[str, ...]:
        return java_command(java, main_class=main_class, classpath=kafka_jars(), options=options, arguments=arguments)

    login = f"SCRAM-SHA-512=[name={USER},password={password}]"
    tool = run("kafka.tools.StorageTool", "format", "-t", "c2VjdXJlLWJyb2tlci0wMA", "-c", str(properties), "-S", login)
    subprocess.run(tool, check=True, capture_output=True, timeout=60)
    with _process(run("kafka.Kafka", str(properties)), folder / "kafka.log"):
        yield f"127.0.0.1:{port}", ca_file


@contextmanager
def flink_cluster(folder: Path, **environment: str) -> Iterator[str]:
    """A session cluster with one TaskManager of four slots, whatever that is called; its address.

    `environment` is what its processes have besides the cluster's own.
    """
    rest, rpc = free_ports(2)
    settings = Flink(lakehouse_taskmanager_mb=1280, lakehouse_parallelism=4)
    jars = (*flink_jars(), *s3_jars())
    cluster = FlinkCluster(StatePaths(folder), find_java().executable, jars, hadoop_jars(), settings, rest, rpc)
    cluster.prepare()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    variables = {**inherited, **COMPILED_ONCE, **cluster.environment(), **environment}
    with (
        _process(cluster.jobmanager_command(), folder / "jobmanager.log", environment=variables),
        _process(cluster.taskmanager_command(names.LAKEHOUSE_JOB), folder / "taskmanager.log", environment=variables),
    ):
        yield f"http://127.0.0.1:{rest}"


@contextmanager
def s3_server(folder: Path, bucket: str) -> Iterator[dict[str, str]]:
    """A server that speaks S3's protocol, with this bucket; the variables by which every client finds it."""
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    with _process([str(Path(sys.executable).parent / "moto_server"), "-p", str(port)], folder / "s3.log"):
        _once_it_answers(httpx.TransportError)(lambda: httpx.put(f"{endpoint}/{bucket}", timeout=5).raise_for_status())
        yield {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a-key",
            "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        }


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs. Skips the test where it is not installed, or this is not root."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found or os.geteuid() != 0:
        pytest.skip("needs root and PostgreSQL (Debian: apt install postgresql), which does not run as root")
    return found[-1].parent


@contextmanager
def postgres_server(password: str, *databases: str) -> Iterator[str]:
    """A PostgreSQL server with these databases, which are `USER`'s; its address, without a database."""
    programs, (port,) = postgres_programs(), free_ports(1)
    # Not below pytest's own folder, which nobody else may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        yield from _serve_postgres(Path(folder), programs, port, password, databases)


def _serve_postgres(folder: Path, programs: Path, port: int, password: str, databases: Sequence[str]) -> Iterator[str]:
    data, secret = folder / "data", folder / "password"
    secret.write_text(password)
    for path in (folder, secret):
        shutil.chown(path, "postgres")
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}"]
    subprocess.run([*initdb, "--no-sync"], user="postgres", check=True, capture_output=True, timeout=60)
    server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    address = f"postgresql://{USER}@127.0.0.1:{port}"
    with _process([*server, "-c", "fsync=off"], folder / "postgres.log", user="postgres"):
        connection = _once_it_answers(psycopg2.OperationalError)(
            psycopg2.connect, f"{address}/postgres", password=password
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            for database in databases:
                cursor.execute(f'CREATE DATABASE "{database}"')
        connection.close()
        yield address


def _once_it_answers(not_yet: type[Exception]) -> tenacity.Retrying:
    """Tries again while `not_yet` is raised, for a minute."""
    return tenacity.Retrying(
        wait=tenacity.wait_fixed(0.2), stop=tenacity.stop_after_delay(60),
        retry=tenacity.retry_if_exception_type(not_yet), reraise=True,
    )  # fmt: skip
