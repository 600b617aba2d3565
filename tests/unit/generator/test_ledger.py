"""The ledger's files: complete, bounded, and true."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from contracts.errors import MachineError
from generator.config import LedgerConfig
from generator.ledger import SCHEMA, Ledger
from generator.malformed import MALFORMATIONS
from generator.publisher import Outcome


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _ledger(folder: Path, clock: Clock | None = None, **config: int) -> Ledger:
    return Ledger(
        folder, LedgerConfig.model_validate(config), run="run", metadata={"seed": "1"}, clock=clock or Clock()
    )


def _add(ledger: Ledger, count: int = 1, **malformations: str) -> int:
    return ledger.add(
        transaction_ids=[f"id-{i}" for i in range(count)],
        account_ids=["ACC000000001"] * count,
        labels=["ordinary"] * count,
        malformations={int(i.removeprefix("at")): MALFORMATIONS[name] for i, name in malformations.items()},
        sent_at_ms=1_700_000_000_123,
    )


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_close_writes_every_row_with_its_outcome(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    first = _add(ledger, 3, at1="truncated", at2="unknown_currency")
    ledger.settle(first, Outcome.OK, 1, 42)
    ledger.settle(first + 1, Outcome.FAILED, None, None)
    ledger.close()
    rows = _rows(tmp_path)
    told = [
        (row["seq"], row["transaction_id"], row["scenario"], row["expected"], row["expected_reason"]) for row in rows
    ]
    assert told == [
        (0, "id-0", "ordinary", "valid", None),
        (1, None, "truncated", "malformed", "malformed_json"),
        (2, "id-2", "unknown_currency", "malformed", "not_in_enum"),
    ]
    assert [(row["outcome"], row["partition"], row["offset"]) for row in rows] == [
        ("ok", 1, 42),
        ("failed", None, None),
        ("unknown", None, None),
    ]
    assert rows[0]["sent_at"].isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert pq.read_schema(next(tmp_path.iterdir())).equals(SCHEMA)
    assert pq.read_schema(next(tmp_path.iterdir())).metadata[b"seed"] == b"1"


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
    ledger.settle(newer, Outcome.OK, 0, 1)
    ledger.settle(late, Outcome.OK, 0, 0)
    ledger.rotate()
    assert [row["offset"] for row in _rows(tmp_path)] == [0]
    ledger.close()
    assert [row["offset"] for row in _rows(tmp_path)] == [0, 1]


def test_rotate_full_page_is_written(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, rotate_rows=1000)
    for _ in range(3):
        first = _add(ledger, 1000)
        for sequence in range(first, first + 1000):
            ledger.settle(sequence, Outcome.OK, 0, sequence)
        ledger.rotate()
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


def test_close_without_rows_writes_no_file(tmp_path: Path) -> None:
    _ledger(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_ledger_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(MachineError, match="Choose another: --ledger"):
        _ledger(tmp_path / "taken" / "ledger")
