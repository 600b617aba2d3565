"""One running pipeline for the modules of this folder: each leaves it healthy, and counts from what it finds."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import CommandLine, running_pipeline


@pytest.fixture(scope="package")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A pipeline that runs without its generator; ended after the folder's last test."""
    with running_pipeline(tmp_path_factory) as command:
        yield command
