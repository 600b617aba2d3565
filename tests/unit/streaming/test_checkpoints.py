"""What a job can go on from, told from the files that Flink leaves."""

import os
from pathlib import Path

from contracts.schema import CONTRACTS, load_contract
from streaming.checkpoints import (
    checkpoint_folder,
    newest_restore_point,
    record_contracts,
    recorded_contracts,
    savepoint_folder,
)


def written(folder: Path, *, at: float, complete: bool = True) -> Path:
    folder.mkdir(parents=True)
    if complete:
        (folder / "_metadata").touch()
        os.utime(folder / "_metadata", (at, at))
    return folder


def test_newest_restore_point_of_a_job_that_never_ran_is_none(tmp_path: Path) -> None:
    assert newest_restore_point(tmp_path, "alerting") is None


def test_newest_restore_point_among_several_is_the_one_written_last(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path, "alerting", "aaaa")
    written(folder / "job-1" / "chk-9", at=100)
    last = written(folder / "job-2" / "chk-2", at=300)
    written(folder / "job-2" / "chk-1", at=200)
    point = newest_restore_point(tmp_path, "alerting")
    assert point is not None
    assert (point.path, point.fingerprint, point.written_at) == (last, "aaaa", 300)


def test_newest_restore_point_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path, "alerting", "aaaa")
    whole = written(folder / "job-1" / "chk-1", at=100)
    written(folder / "job-1" / "chk-2", at=200, complete=False)
    point = newest_restore_point(tmp_path, "alerting")
    assert point is not None
    assert point.path == whole


def test_newest_restore_point_after_an_orderly_end_is_the_savepoint(tmp_path: Path) -> None:
    written(checkpoint_folder(tmp_path, "lakehouse", "aaaa") / "job-1" / "chk-5", at=100)
    savepoint = written(savepoint_folder(tmp_path, "lakehouse", "aaaa") / "savepoint-12ab34-ef", at=200)
    point = newest_restore_point(tmp_path, "lakehouse")
    assert point is not None
    assert point.path == savepoint


def test_newest_restore_point_of_another_plan_names_that_plan(tmp_path: Path) -> None:
    written(checkpoint_folder(tmp_path, "alerting", "old") / "job-1" / "chk-5", at=200)
    written(checkpoint_folder(tmp_path, "alerting", "new") / "job-2" / "chk-1", at=100)
    point = newest_restore_point(tmp_path, "alerting")
    assert point is not None
    assert point.fingerprint == "old"


def test_newest_restore_point_of_one_job_is_not_the_others(tmp_path: Path) -> None:
    written(checkpoint_folder(tmp_path, "lakehouse", "aaaa") / "job-1" / "chk-5", at=200)
    assert newest_restore_point(tmp_path, "alerting") is None


def test_recorded_contracts_are_those_that_were_recorded(tmp_path: Path) -> None:
    record_contracts(tmp_path, "lakehouse", "aaaa")
    assert recorded_contracts(tmp_path, "lakehouse", "aaaa") == tuple(load_contract(name) for name in CONTRACTS)
    assert recorded_contracts(tmp_path, "lakehouse", "bbbb") is None
    assert newest_restore_point(tmp_path, "lakehouse") is None
