"""The ledger's files: complete, bounded, and true."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from contracts.errors import MachineError
from generator.config import GeneratorConfig, LedgerConfig
from generator.ledger import SCHEMA, Ledger
from generator.publisher import Outcome
from generator.traffic import SCENARIOS, Batch, Traffic
from tests.generated import quiet, sample

NOW_MS = 1_700_000_000_123


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def batch() -> Batch:
    disturbed = {"malformed_percent": 20, "late": {"percent": 5}, "duplicate_percent": 5}
    config = GeneratorConfig.model_validate({"fraud_percent": 10, "disturbances": disturbed})
    return sample(Traffic(config, seed=1), 3000).batch


def _ledger(folder: Path, clock: Clock | None = None, **config: int) -> Ledger:
    return Ledger(
        folder, LedgerConfig.model_validate(config), run="run", metadata={"seed": "1"}, clock=clock or Clock()
    )


def _add(ledger: Ledger, count: int = 1) -> int:
    batch = sample(Traffic(quiet(), seed=2), count).batch
    return ledger.add(batch, 0, count, sent_at_ms=NOW_MS)


def _settle(ledger: Ledger, *places: tuple[int, int, int]) -> None:
    sequences, partitions, offsets = zip(*places, strict=True)
    ledger.settle(
        np.array(sequences), Outcome.OK, np.array(partitions, dtype=np.int32), np.array(offsets, dtype=np.int64)
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_close_writes_every_row_with_its_outcome(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    first = _add(ledger, 4)
    _settle(ledger, (first + 1, 1, 42))
    ledger.settle(np.array([first]), Outcome.FAILED)
    ledger.settle(np.array([first + 3]), Outcome.UNKNOWN)
    ledger.close()
    told = [(row["seq"], row["outcome"], row["partition"], row["offset"]) for row in _rows(tmp_path)]
    assert told == [(0, "failed", None, None), (1, "ok", 1, 42), (2, "unknown", None, None), (3, "unknown", None, None)]
    row = _rows(tmp_path)[0]
    assert (row["run"], row["scenario"], row["incident"], row["expected"]) == ("run", "ordinary", None, "valid")
    assert row["sent_at"].isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert pq.read_schema(next(tmp_path.iterdir())).equals(SCHEMA)
    assert pq.read_schema(next(tmp_path.iterdir())).metadata[b"seed"] == b"1"


def test_add_rows_say_what_was_meant_by_each_record(tmp_path: Path, batch: Batch) -> None:
    ledger = _ledger(tmp_path)
    for start in range(0, 3000, 700):
        ledger.add(batch, start, min(start + 700, 3000), sent_at_ms=NOW_MS)
    ledger.close()
    rows = _rows(tmp_path)
    assert [row["seq"] for row in rows] == list(range(3000))
    for i, row in enumerate(rows):
        way = batch.malformations.get(i)
        assert row["scenario"] == SCENARIOS[batch.scenario[i]]
        assert (row["incident"] is None) == (row["scenario"] == "ordinary")
        assert row["account_id"] == f"ACC{batch.account[i] + 1:09d}"
        assert row["expected"] == ("malformed" if way else "valid")
        assert row["expected_reason"] == (way.reason if way else None)
        identified = way is None or way.identified
        assert row["transaction_id"] == (bytes(batch.transaction_id[i]).decode() if identified else None)
        assert row["event_time"].timestamp() * 1000 == pytest.approx(batch.event_ms[i])
        if way:
            assert row["disturbance"] == way.name
    for original, duplicate in ((batch.repeats[i], i) for i in batch.repeats):
        assert rows[duplicate]["disturbance"] == "duplicate"
        assert rows[duplicate]["transaction_id"] == rows[original]["transaction_id"]
    assert {row["disturbance"] for row in rows} >= {None, "late", "duplicate", "truncated"}


def test_rotate_old_page_is_written_once_its_outcomes_are_known(tmp_path: Path) -> None:
    clock = Clock()
    ledger = _ledger(tmp_path, clock)
    late = _add(ledger)
    ledger.rotate()
    assert _rows(tmp_path) == []
    clock.now = 61
    ledger.rotate()
    assert _rows(tmp_path) == [], "its only record is still under way"
    newer = _add(ledger)
    _settle(ledger, (late, 0, 0), (newer, 0, 1))
    ledger.rotate()
    ledger.wait()
    assert [row["offset"] for row in _rows(tmp_path)] == [0]
    ledger.close()
    assert [row["offset"] for row in _rows(tmp_path)] == [0, 1]


def test_rotate_full_page_is_written(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, rotate_rows=1000)
    for _ in range(3):
        first = _add(ledger, 1000)
        _settle(ledger, *((sequence, 0, sequence) for sequence in range(first, first + 1000)))
        ledger.rotate()
    ledger.wait()
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    assert [row["seq"] for row in _rows(tmp_path)] == list(range(3000))
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("bound", [{"keep_files": 2}, {"keep_mb": 1}])
def test_close_old_files_go_and_the_newest_stay(tmp_path: Path, bound: dict[str, int]) -> None:
    for name in ("20250101-000001", "20250102-000001", "20250103-000001"):
        (tmp_path / f"{name}.parquet").write_bytes(b"x" * 520 * 1024)
    ledger = _ledger(tmp_path, Clock(), **bound)
    _add(ledger)
    ledger.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["20250103-000001.parquet", "run-000001.parquet"]


def test_ledger_file_that_another_process_deletes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "20250101-000001.parquet").symlink_to(tmp_path / "gone")
    ledger = _ledger(tmp_path)
    _add(ledger)
    ledger.close()
    assert (tmp_path / "run-000001.parquet").exists()


def test_close_without_rows_writes_no_file(tmp_path: Path) -> None:
    _ledger(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_ledger_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(MachineError, match="Choose another: --ledger"):
        _ledger(tmp_path / "taken" / "ledger")


def test_rotate_disk_that_refuses_a_page_ends_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    ledger = _ledger(folder, rotate_rows=1000)
    first = _add(ledger, 1000)
    _settle(ledger, *((sequence, 0, sequence) for sequence in range(first, first + 1000)))
    shutil.rmtree(folder)
    with pytest.raises(MachineError, match="Make room, or use --ledger"):
        ledger.close()
