"""How far a checkpoint has read, told from the files that Flink leaves."""

from pathlib import Path

import pytest

from contracts import names
from contracts.errors import ComponentFailed
from streaming.checkpoint_positions import positions_in
from streaming.checkpoints import RestorePoint, newest_restore_point
from tests.checkpoint_files import write_metadata
from tests.kept_state import kept_state


def test_positions_in_savepoints_that_flink_wrote_are_the_end_of_the_log_they_read() -> None:
    with kept_state() as state:
        for job in (names.ALERTING_JOB, names.LAKEHOUSE_JOB):
            point = newest_restore_point(state / "flink" / "checkpoints", job)
            assert point is not None
            assert positions_in(point, names.RAW_TOPIC) == {0: 886, 1: 842}


def test_positions_in_partition_that_was_not_begun_has_none(tmp_path: Path) -> None:
    folder = write_metadata(tmp_path / "chk-1", {names.RAW_TOPIC: {0: -2, 1: 10}})
    assert positions_in(RestorePoint(folder, "f", 1.0), names.RAW_TOPIC) == {1: 10}


@pytest.mark.parametrize("kept", [0, 40])
def test_positions_in_damaged_metadata_is_named(tmp_path: Path, kept: int) -> None:
    folder = write_metadata(tmp_path / "chk-1", {names.RAW_TOPIC: {0: 10}})
    file = folder / "_metadata"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ComponentFailed, match=r"how far the topic transactions\.raw was read: it is damaged"):
        positions_in(RestorePoint(folder, "f", 1.0), names.RAW_TOPIC)
