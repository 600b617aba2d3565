"""A lake with the pipeline's empty tables, for the tests of what is told about it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lake_tables import Lake, lake_in


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with lake_in(tmp_path / "state") as lake:
        yield lake
