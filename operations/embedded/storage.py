"""Makes the Iceberg tables and Dagster's databases before anything starts that uses them.

Several processes would otherwise make them at once: where Dagster's daemon and webserver do, neither starts again
("alembic_version has more than one head"). A process of its own does it, beside what else is prepared; it runs only
where something is missing, so that a usual start does not pay for its imports.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from contracts import postgres
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed, ConfigError, PipelineError
from contracts.paths import StatePaths, config_folder, contracts_folder
from contracts.settings import Settings
from contracts.tables import all_tables
from contracts.yaml_files import read_yaml

_SECONDS = 120


def keep_contracts(paths: StatePaths) -> None:
    """Copies the contracts to where the processes of the pipeline read them as long as it runs."""
    source = contracts_folder()
    if source.resolve() == paths.contracts.resolve():
        return  # started from within, by a process that reads the copy already
    shutil.rmtree(paths.contracts, ignore_errors=True)
    shutil.copytree(source, paths.contracts)


@contextmanager
def storage(settings: Settings, environment: dict[str, str]) -> Iterator[None]:
    """On leaving the block tables and databases are there; they are made while it runs.

    Raises ConfigError where a table differs from its contract, ComponentFailed where they cannot be made.
    """
    paths = settings.paths
    paths.dagster.mkdir(parents=True, exist_ok=True)
    instance = yaml.safe_dump(instance_configuration(settings), sort_keys=False)
    (paths.dagster / "dagster.yaml").write_text(instance, encoding="utf-8")
    stamp, wanted = paths.catalog.with_name("tables.sha256"), _fingerprint()
    # What a server holds may have been dropped there: it is looked for each time.
    tables_are_there = not settings.lake.catalog and stamp.exists() and stamp.read_text(encoding="ascii") == wanted
    if tables_are_there and not settings.dagster.storage and (paths.dagster / "history").exists():
        yield
        return
    # Made aside and moved when complete: half of them, left by an interruption, would be taken for all.
    aside = paths.dagster / "new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    (aside / "dagster.yaml").write_text(instance, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "operations.embedded.storage"],
        env={**environment, "DAGSTER_HOME": str(aside)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as maker:
        try:
            yield
            words, _ = maker.communicate(timeout=_SECONDS)
        except BaseException:
            maker.kill()
            raise
    if maker.returncode == ConfigError.exit_code:
        raise ConfigError(contracts_folder(), words.strip())
    if maker.returncode != 0:
        raise ComponentFailed(f"the tables and databases in {paths.root} could not be made: {words.strip()}")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted, encoding="ascii")
    if not settings.dagster.storage:
        _move_databases(aside, paths.dagster)
    shutil.rmtree(aside)


def instance_configuration(settings: Settings) -> dict[str, Any]:
    """Dagster's own: `dagster.yaml` of the configuration folder, and where the history is. Raises ConfigError."""
    content, _ = read_yaml(config_folder() / "dagster.yaml")
    if settings.dagster.storage:
        content["storage"] = {"postgres": {"postgres_url": postgres.sqlalchemy_url(settings.dagster.storage)}}
    return content


def _fingerprint() -> str:
    return hashlib.sha256(repr(all_tables()).encode()).hexdigest()


def _move_databases(aside: Path, home: Path) -> None:
    if not (home / "history").exists():
        (aside / "dagster.yaml").unlink()
        # What says that all is there goes last.
        for made in sorted(aside.iterdir(), key=lambda path: path.name == "history"):
            if not (home / made.name).exists():  # else moved by a start that was interrupted
                made.replace(home / made.name)


def main() -> int:
    """Makes both, as the environment says; prints what went wrong. Returns the exit code."""
    from dagster import DagsterInstance

    from lake.catalog import open_catalog
    from lake.tables import create_tables

    try:
        create_tables(open_catalog(Addresses.from_environment()))
    except PipelineError as error:
        sys.stdout.write(str(error))
        return error.exit_code
    DagsterInstance.get().dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
