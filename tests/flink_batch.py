"""Bounded SQL in a real Flink, without a cluster or a broker: tables are folders of JSON lines."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from contracts.paths import PROJECT
from operations.embedded.flink import JAVA_OPTIONS, distribution
from operations.embedded.jvm import LOCALE
from operations.java import find_java

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "PIPELINE_CONFIG")
OPTIONS = {
    "execution.runtime-mode": "batch",
    "table.local-time-zone": "UTC",
    "parallelism.default": "1",
    "pipeline.object-reuse": "true",
}


@dataclass(frozen=True)
class Job:
    """Inserts that run as one job after the definitions, with these options of Flink's beside `OPTIONS`."""

    definitions: Sequence[str]
    inserts: Sequence[str]
    options: Mapping[str, str] = field(default_factory=dict)


def run(folder: Path, *jobs: Job) -> None:
    """Run the jobs in turn, to their ends, in one process. Raises AssertionError with Flink's words if one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {"env.java.opts.all": " ".join(JAVA_OPTIONS), "rest.port": 0, "rest.bind-port": "0"}
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    listed = [{**asdict(job), "options": {**OPTIONS, **job.options}} for job in jobs]
    (folder / "jobs.json").write_text(json.dumps(listed), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if name in _INHERITED},
        "FLINK_HOME": str(distribution()),
        "FLINK_CONF_DIR": str(folder),
        "JAVA_HOME": str(find_java().home),
        # A job of seconds is over before the second compiler pays.
        "JVM_ARGS": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx1g {' '.join(LOCALE)}",
        # Python functions run inside Flink, which looks for what they need here alone.
        "PYTHONPATH": os.pathsep.join((str(PROJECT), sysconfig.get_path("purelib"))),
        "PYTHONWARNINGS": "ignore",
    }
    script = PROJECT / "tests" / "integration" / "bounded_flink.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "jobs.json")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-8000:]}"


def json_table(name: str, columns: str, folder: Path) -> str:
    """A table over the JSON lines in `folder`; BYTES are base64."""
    return f"""CREATE TEMPORARY TABLE {name} (
{columns}
) WITH (
  'connector' = 'filesystem', 'path' = '{folder.as_uri()}', 'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601'
)"""


def write(folder: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Makes the folder of a table of `rows`."""
    folder.mkdir(parents=True)
    with (folder / "rows.json").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows that a job wrote into the table of `folder`, in no order."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))]
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").split("\n") if line]
