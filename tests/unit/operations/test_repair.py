"""`pipeline repair` and the look at files before a start: what is mended, what is kept, what is said."""

from pathlib import Path

import pytest

from contracts import names
from contracts.errors import ConfigError, TableDamaged
from contracts.paths import StatePaths
from contracts.settings import Lake as LakeSettings
from contracts.settings import Settings
from lake.catalog_file import local_path
from operations.health import Health
from operations.repair import repair
from operations.table_files import examine_files, refuse_damage
from tests.lake_tables import Lake, transaction


@pytest.fixture
def filled(lake: Lake) -> Lake:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    state = StatePaths(lake.state).checkpoints / names.LAKEHOUSE_JOB / "plan"
    state.mkdir(parents=True)
    return lake


@pytest.fixture
def settings(lake: Lake) -> Settings:
    return Settings(state=lake.state)


def cut_metadata(lake: Lake) -> Path:
    path = local_path(lake.table(names.TRANSACTIONS).metadata_location)
    path.write_bytes(path.read_bytes()[:300])
    return path


def test_repair_folder_that_is_whole_changes_nothing(filled: Lake, settings: Settings) -> None:
    before = sorted(filled.state.rglob("*"))
    refuse_damage(settings)
    assert list(repair(settings)) == []
    assert sorted(filled.state.rglob("*")) == before


def test_repair_table_that_went_back_to_an_earlier_commit_takes_the_job_from_its_checkpoints(
    filled: Lake, settings: Settings
) -> None:
    """Expect it, since they are ahead of the rows: what is between would be missing."""
    path = cut_metadata(filled)
    with pytest.raises(TableDamaged, match=rf"{path.name} .* pipeline repair"):
        refuse_damage(settings)
    first, second = repair(settings)
    assert "goes on from what the tables hold" in first
    assert "is registered with" in second
    checkpoints = settings.paths.checkpoints
    assert not (checkpoints / names.LAKEHOUSE_JOB).exists()
    assert list(checkpoints.glob("lakehouse.until-*/plan"))
    refuse_damage(settings)
    assert list(repair(settings)) == []


def test_repair_history_of_random_bytes_is_kept_and_another_begun(filled: Lake, settings: Settings) -> None:
    history = settings.paths.dagster / "history" / "runs.db"
    history.parent.mkdir(parents=True)
    history.write_bytes(b"\x00random")
    with pytest.raises(TableDamaged, match=rf"{history} is not a SQLite file any more.*pipeline repair"):
        refuse_damage(settings)
    (said,) = repair(settings)
    assert "new history" in said
    assert not settings.paths.dagster.exists()
    assert [path.read_bytes() for path in filled.state.glob("dagster.until-*/history/runs.db")] == [b"\x00random"]
    refuse_damage(settings)


def test_repair_tables_elsewhere_are_refused(settings: Settings) -> None:
    elsewhere = settings.model_copy(
        update={"lake": LakeSettings(catalog="postgresql://u@h:5432/lake", warehouse="s3://lake/tables")}
    )
    with pytest.raises(ConfigError, match="kept elsewhere"):
        list(repair(elsewhere))


def test_examine_files_whole_tables_are_healthy(filled: Lake) -> None:
    found = examine_files(filled.addresses)
    assert found
    assert found.health is Health.HEALTHY


def test_examine_files_data_file_that_is_missing_is_told_and_stops_no_start(filled: Lake, settings: Settings) -> None:
    path = next(settings.paths.warehouse.rglob("transactions/data/**/*.parquet"))
    path.unlink()
    found = examine_files(filled.addresses)
    assert found
    assert found.health is Health.UNHEALTHY
    assert f"1 of transactions, as file://{path}" in found.detail
    refuse_damage(settings)


def test_examine_files_metadata_that_is_cut_is_told(filled: Lake) -> None:
    path = cut_metadata(filled)
    found = examine_files(filled.addresses)
    assert found
    assert found.health is Health.UNHEALTHY
    assert path.name in found.detail


def test_examine_files_before_the_first_tables_says_nothing(lake: Lake) -> None:
    StatePaths(lake.state).catalog.unlink()
    assert examine_files(lake.addresses) is None
