"""What a job goes on from after the configuration changed, or did not."""

from pathlib import Path

import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import ComponentFailed
from contracts.settings import Settings
from operations.resume import lakehouse_restore_point
from streaming.checkpoints import checkpoint_folder, record_contracts
from streaming.jobs.catalogue import job_plan
from tests.config_copies import copy_of_config, forget_contracts, with_optional_fields


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


@pytest.fixture
def addresses(settings: Settings) -> Addresses:
    return Addresses.local(state=settings.paths, kafka_port=1, flink_rest_port=2, dagster_port=3)


def checkpointed(settings: Settings, job: str, fingerprint: str) -> Path:
    folder = checkpoint_folder(settings.paths.checkpoints, job, fingerprint) / "job-1" / "chk-7"
    folder.mkdir(parents=True)
    (folder / "_metadata").touch()
    return folder


def test_lakehouse_restore_point_of_an_unchanged_job_is_its_newest_checkpoint(
    settings: Settings, addresses: Addresses
) -> None:
    fingerprint = job_plan(names.LAKEHOUSE_JOB, addresses, settings).fingerprint
    folder = checkpointed(settings, names.LAKEHOUSE_JOB, fingerprint)
    point = lakehouse_restore_point(addresses, settings)
    assert point is not None
    assert point.path == folder


def test_lakehouse_restore_point_of_a_job_that_never_ran_is_none(settings: Settings, addresses: Addresses) -> None:
    assert lakehouse_restore_point(addresses, settings) is None


def test_lakehouse_restore_point_after_its_contract_has_grown_is_its_newest_checkpoint(
    settings: Settings, addresses: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = job_plan(names.LAKEHOUSE_JOB, addresses, settings).fingerprint
    folder = checkpointed(settings, names.LAKEHOUSE_JOB, fingerprint)
    record_contracts(settings.paths.checkpoints, names.LAKEHOUSE_JOB, fingerprint)
    monkeypatch.setenv("PIPELINE_CONFIG", str(with_optional_fields(copy_of_config(tmp_path))))
    forget_contracts()
    try:
        assert job_plan(names.LAKEHOUSE_JOB, addresses, settings).fingerprint != fingerprint
        point = lakehouse_restore_point(addresses, settings)
    finally:
        forget_contracts()
    assert point is not None
    assert point.path == folder


def test_lakehouse_restore_point_after_a_change_of_its_plan_is_refused_with_the_remedy(
    settings: Settings, addresses: Addresses
) -> None:
    folder = checkpointed(settings, names.LAKEHOUSE_JOB, "0123456789abcdef")
    with pytest.raises(ComponentFailed) as refusal:
        lakehouse_restore_point(addresses, settings)
    assert str(folder) in str(refusal.value)
    assert "0123456789abcdef" in str(refusal.value)
    assert "pipeline reset" in str(refusal.value)
