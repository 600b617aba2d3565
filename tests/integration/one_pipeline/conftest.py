"""One real pipeline for the modules of this folder, started once; each test accounts for records of its own."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import CommandLine, running_pipeline


@pytest.fixture(scope="package")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Run a pipeline without its generator, its web page read-only, until the folder's last test has ended."""
    with running_pipeline(tmp_path_factory, "--read-only-web") as command:
        yield command
