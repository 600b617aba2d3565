"""Peers on the same work in one run, over the same log: `uv run python -m benchmarks.peers`.

A broker is filled with generated records. Each peer then reads them all, alone on the machine: it judges them by the
contract, sends dead letters and the alerts of the three rules, and adds every record to an Iceberg table. Last comes
the pipeline itself, started over the same log with everything it always has: two jobs, explained dead letters, stored
alerts, Dagster. Results go to `benchmarks/results/peers.json` and to the screen.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Bench, write_result
from benchmarks.peers.result import Result
from contracts import names
from contracts.addresses import Addresses
from contracts.kafka_access import KafkaAccess
from contracts.paths import PROJECT, StatePaths
from contracts.settings import load_settings
from operations.embedded.broker import Broker
from operations.jars import kafka_jars
from operations.java import find_java
from operations.ports import free_ports
from operations.signals import raise_interrupted
from operations.topics import create_topics

# The framework that a peer needs, by the module beside this one.
_PEERS = {"plain": None, **tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["peers"]}
_OURS = (
    "rows exactly once; alerts at least once, with an id that tells a repeated one, and stored once; the velocity rule "
    "goes on from its state"
)


def main(
    records: Annotated[int, typer.Option(min=10_000, help="How many are sent.")] = 300_000,
    peer: Annotated[list[str], typer.Option(help="Only these; may be given several times.")] = list(_PEERS),  # noqa: B006
) -> None:
    """Measure the peers, then the pipeline."""
    raise_interrupted()
    console, found = Console(stderr=True), []
    with tempfile.TemporaryDirectory(prefix="bench-peers-") as folder:
        state = Path(folder).resolve() / "state"
        with _broker(state) as port:
            local = Addresses.local(state=StatePaths(state), kafka_port=port, flink_rest_port=1, dagster_port=1)
            _fill(local, records, Path(folder))
            for name in peer:
                found.append(_peer(name, local, Path(folder) / name))
                console.print(f"{name}: {found[-1].rate:,} records a second")
            console.print("this pipeline ...")
        found.append(_pipeline(state, port, records))
    write_result("peers", records=records, results=[{**asdict(one), "rate": one.rate} for one in found])
    Console().print(_table(found))


@contextmanager
def _broker(state: Path) -> Iterator[int]:
    """The broker of the state folder, alone; its port."""
    settings, (port, controller) = load_settings().kafka, free_ports(2)
    broker = Broker(StatePaths(state).kafka, find_java().executable, kafka_jars(), settings, port, controller)
    broker.prepare()
    with subprocess.Popen(broker.command(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            create_topics(KafkaAccess(f"127.0.0.1:{port}"), settings, timeout=60)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=60)


def _fill(addresses: Addresses, records: int, folder: Path) -> None:
    command = [sys.executable, "-m", "generator", "--rate", "0", "--limit", str(records), "--seed", "1"]
    places = ["--ledger", str(folder / "ledger"), "--health", str(folder / "health.json")]
    environment = {**os.environ, **addresses.to_environment()}
    subprocess.run([*command, *places], env=environment, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)


def _peer(name: str, addresses: Addresses, state: Path) -> Result:
    """Runs one, with a catalog and tables of its own."""
    paths = StatePaths(state)
    own = Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1)
    own = replace(own, kafka_bootstrap_servers=addresses.kafka_bootstrap_servers)
    framework, scratch = _PEERS[name], state / "peer"
    scratch.mkdir(parents=True)
    # Overlaid on this project's environment, whose libraries win.
    python = ["uv", "run", "--with", framework, "python"] if framework else [sys.executable]
    done = subprocess.run(
        [*python, "-m", f"benchmarks.peers.{name}", str(scratch)], env={**os.environ, **own.to_environment()},
        cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return Result.of_json(done.stdout)


def _pipeline(state: Path, port: int, records: int) -> Result:
    """The pipeline over the same log, from the first record it handles to the last one stored and judged."""
    # The folder becomes a state folder by this: `up` refuses one that holds other files.
    lock = StatePaths(state).run / "pipeline.lock"
    lock.parent.mkdir(mode=0o700)
    lock.touch()
    ports = {f"PIPELINE_{name}": "0" for name in ("KAFKA__CONTROLLER_PORT", "FLINK__REST_PORT", "FLINK__RPC_PORT")}
    ports |= {"PIPELINE_DAGSTER__PORT": "0", "PIPELINE_DAGSTER__CODE_PORT": "0", "PIPELINE_KAFKA__PORT": str(port)}
    bench = Bench(state, {**os.environ, **ports, "PIPELINE_STATE": str(state)})
    try:
        bench.pipeline("up", "--detach", "--no-generator")
        deadline = time.monotonic() + 900
        while True:
            topics = {topic["topic"]: topic for topic in bench.status()["topics"]}
            if all(topics[names.RAW_TOPIC]["lag"].get(job, records) == 0 for job in names.JOBS):
                break
            if time.monotonic() > deadline:
                raise SystemExit("the pipeline has not read everything after 900 s")
            time.sleep(1)
        sql = """SELECT (SELECT count(*) FROM transactions) AS valid, (SELECT count(*) FROM dead_letters) AS refused,
          (SELECT count(*) FROM alerts) AS alerts,
          (SELECT epoch(max(processed_at) - min(processed_at)) FROM transactions) AS seconds,
          (SELECT epoch(max(detected_at) - min(detected_at)) FROM alerts) AS judging"""
        (line,) = bench.pipeline("query", "--output", "json", sql).splitlines()
        row = json.loads(line)
        # The last rows stand in the table a checkpoint later.
        interval = load_settings().flink.lakehouse_checkpoint_ms / 1000
        seconds = max(float(row["seconds"]), float(row["judging"])) + interval
        return Result("this pipeline", _OURS, seconds, row["valid"], row["refused"], row["alerts"])
    finally:
        bench.pipeline("down")


def _table(found: list[Result]) -> Table:
    table = Table("who", "a second", "valid", "refused", "alerts", "where it is killed")
    for one in found:
        table.add_row(one.peer, f"{one.rate:,}", f"{one.valid:,}", f"{one.refused:,}", f"{one.alerts:,}", one.guarantee)
    return table


if __name__ == "__main__":
    typer.run(main)
