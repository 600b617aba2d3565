"""Where things lie: the project's own files, and the folders inside one pipeline's state folder.

Nothing outside the state folder is ever written by a running pipeline, but for the cache of jars.
"""

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def config_folder() -> Path:
    """The folder of the configuration files: `PIPELINE_CONFIG`, else `config/` of the project."""
    chosen = os.environ.get("PIPELINE_CONFIG")
    return Path(chosen).expanduser().resolve() if chosen else PROJECT / "config"


def contracts_folder() -> Path:
    """The folder of the data contracts: `PIPELINE_CONTRACTS`, else `contracts/` of the configuration folder.

    A running pipeline's processes are given the copy that was made when it started: a record must not be judged by one
    contract and explained by another because somebody edits the file meanwhile.
    """
    chosen = os.environ.get("PIPELINE_CONTRACTS")
    return Path(chosen) if chosen else config_folder() / "contracts"


@dataclass(frozen=True)
class StatePaths:
    """The layout of a state folder. Every path is absolute; none is created by asking for it."""

    root: Path

    @property
    def addresses(self) -> Path:
        """Addresses of the running pipeline (JSON), written by `pipeline up`."""
        return self.root / "run" / "addresses.json"

    @property
    def run(self) -> Path:
        """Process control: the supervisor's configuration, socket and pid."""
        return self.root / "run"

    @property
    def contracts(self) -> Path:
        """The contracts as they were when the pipeline was started."""
        return self.root / "run" / "contracts"

    @property
    def session(self) -> Path:
        """The id of the session, where something else than `pipeline up` runs the processes."""
        return self.root / "run" / "session"

    @property
    def refusals(self) -> Path:
        """Why jobs are not started: a file for each job that is not."""
        return self.root / "run" / "refusals"

    @property
    def settled_offsets(self) -> Path:
        """Up to which offsets log and tables are known to agree, by partition (JSON)."""
        return self.root / "lake" / "settled-offsets.json"

    @property
    def skips(self) -> Path:
        """Records that a person has decided to pass over (JSON)."""
        return self.root / "lake" / "skips.json"

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.root / "logs"

    @property
    def kafka(self) -> Path:
        """The broker's configuration and log segments."""
        return self.root / "kafka"

    @property
    def flink(self) -> Path:
        """Flink's configuration and temporary files."""
        return self.root / "flink"

    @property
    def checkpoints(self) -> Path:
        """Flink's retained checkpoints, one folder a job name."""
        return self.root / "flink" / "checkpoints"

    @property
    def catalog(self) -> Path:
        """The SQLite file of the Iceberg catalog."""
        return self.root / "lake" / "catalog.db"

    @property
    def warehouse(self) -> Path:
        """Data and metadata files of the Iceberg tables."""
        return self.root / "lake" / "warehouse"

    @property
    def dagster(self) -> Path:
        """`DAGSTER_HOME`."""
        return self.root / "dagster"

    @property
    def data_docs(self) -> Path:
        """The pages of Great Expectations."""
        return self.root / "quality" / "docs"

    @property
    def lineage_page(self) -> Path:
        """The page that shows where every column comes from."""
        return self.root / "lineage" / "columns.html"

    @property
    def lineage_events(self) -> Path:
        """What happened, as OpenLineage events, a line each."""
        return self.root / "lineage" / "openlineage.jsonl"

    @property
    def lineage_cursor(self) -> Path:
        """How far the events tell (JSON)."""
        return self.root / "lineage" / "openlineage.cursor.json"

    @property
    def rules(self) -> Path:
        """Every rule book that was put in force, and what became of it."""
        return self.root / "rules"

    @property
    def replays(self) -> Path:
        """What was replayed of the dead letters, by whom and as what (SQLite), and the lock of who replays."""
        return self.root / "replays"

    @property
    def generator(self) -> Path:
        """The generator's ledger, and its word on itself."""
        return self.root / "generator"

    @property
    def generator_health(self) -> Path:
        """How the generator's traffic goes (JSON), written once a second while it runs."""
        return self.root / "generator" / "health.json"
