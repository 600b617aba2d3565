"""What a job can go on from, told from the files that Flink leaves."""

import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from contracts.schema import CONTRACTS, load_contract
from streaming.checkpoints import (
    Recorded,
    RestorePoint,
    checkpoint_folder,
    claim_mode,
    code_hash,
    link_missing_files,
    newest_restore_point,
    record_contracts,
    recorded_contracts,
    remove_old_savepoints,
    remove_state,
    restore_points,
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


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        ("file:///a b/flink/checkpoints/alerting/f00d/savepoints/savepoint-12ab34-ef", "NO_CLAIM"),
        ("file:///a b/flink/checkpoints/alerting/f00d/0123abcd/chk-5", "CLAIM"),
    ],
)
def test_claim_mode_savepoint_is_left_alone_and_checkpoint_is_taken_over(place: str, mode: str) -> None:
    assert claim_mode(place) == mode


def _restore_point(tmp_path: Path) -> RestorePoint:
    point = newest_restore_point(tmp_path, "alerting")
    assert point is not None
    return point


def test_link_missing_files_checkpoint_that_names_files_of_a_savepoint_gets_them(tmp_path: Path) -> None:
    savepoint = written(savepoint_folder(tmp_path, "alerting", "aaaa") / "savepoint-12ab34-ef", at=100)
    for name in ("9339c6bc-1", "9339c6bc-2", "9339c6bc-3"):
        (savepoint / name).write_text(name)
    checkpoint = written(checkpoint_folder(tmp_path, "alerting", "aaaa") / "job-2" / "chk-5", at=200)
    (checkpoint / "_metadata").write_bytes(b"\x00\x0a9339c6bc-1\xff\x00\x0a9339c6bc-2\xff")
    (checkpoint / "9339c6bc-2").write_text("its own")
    point = _restore_point(tmp_path)
    assert link_missing_files(point) == (checkpoint / "9339c6bc-1",)
    assert (checkpoint / "9339c6bc-1").read_text() == "9339c6bc-1"
    assert (checkpoint / "9339c6bc-2").read_text() == "its own"
    assert link_missing_files(point) == (), "all is there now"


def test_link_missing_files_savepoint_needs_none(tmp_path: Path) -> None:
    savepoint = written(savepoint_folder(tmp_path, "alerting", "aaaa") / "savepoint-12ab34-ef", at=100)
    (savepoint / "9339c6bc-1").touch()
    assert link_missing_files(_restore_point(tmp_path)) == ()


def test_remove_old_savepoints_keeps_the_two_newest_and_every_checkpoint(tmp_path: Path) -> None:
    folder = savepoint_folder(tmp_path, "alerting", "aaaa")
    first, second, third = (written(folder / f"savepoint-{n}", at=100 * n) for n in (1, 2, 3))
    checkpoint = written(checkpoint_folder(tmp_path, "alerting", "aaaa") / "job-1" / "chk-1", at=50)
    assert remove_old_savepoints(tmp_path, "alerting", "aaaa") == (first,)
    assert not first.exists()
    assert all(path.exists() for path in (second, third, checkpoint))
    assert remove_old_savepoints(tmp_path, "alerting", "bbbb") == ()


def test_remove_state_interrupted_leaves_no_half_under_its_name_and_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (written(checkpoint_folder(tmp_path, "alerting", plan) / "job" / "chk-1", at=1) for plan in "ab")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            remove_state(first.parents[1])
    assert [point.path for point in restore_points(tmp_path, "alerting")] == [second]
    remove_state(second.parents[1])
    assert list((tmp_path / "alerting").iterdir()) == []


def test_recorded_contracts_are_those_that_were_recorded(tmp_path: Path) -> None:
    record_contracts(tmp_path, "lakehouse", "aaaa")
    recorded = recorded_contracts(tmp_path, "lakehouse", "aaaa")
    assert recorded == Recorded(tuple(load_contract(name) for name in CONTRACTS), code_hash())
    assert recorded_contracts(tmp_path, "lakehouse", "bbbb") is None
    assert newest_restore_point(tmp_path, "lakehouse") is None


def test_recorded_contracts_of_an_earlier_version_were_made_by_another_code(tmp_path: Path) -> None:
    folder = checkpoint_folder(tmp_path, "lakehouse", "aaaa")
    folder.mkdir(parents=True)
    schemas = {name: load_contract(name).schema for name in CONTRACTS}
    (folder / "contracts.json").write_text(json.dumps(schemas))
    recorded = recorded_contracts(tmp_path, "lakehouse", "aaaa")
    assert recorded == Recorded(tuple(load_contract(name) for name in CONTRACTS), None)
