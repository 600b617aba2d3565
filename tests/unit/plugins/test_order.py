"""The order of the suite, tried on a small tree: what builds on one another keeps its order however it is shuffled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.paths import PROJECT

_STEPS = "import pytest\npytestmark = pytest.mark.in_order\n" + "".join(
    f"def test_step_{number}(): pass\n" for number in range(6)
)
_FREE = "".join(f"def test_free_{number}(): pass\n" for number in range(6))


def _collected(folder: Path, seed: int) -> list[str]:
    """List the tests below `folder` in the order in which they would run, shuffled by `seed`."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "tests.plugins.order"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "-n0", f"--randomly-seed={seed}"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = in_order\naddopts = --import-mode=importlib\n")
    for module, text in (
        ("unit/test_a.py", _FREE),
        ("integration/test_elsewhere.py", _STEPS),
        ("integration/recovery/test_1.py", _STEPS),
        ("integration/recovery/test_2.py", _STEPS),
    ):
        path = tmp_path / "tests" / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_order_of_what_builds_on_one_another_is_that_of_files_and_lines(tree: Path) -> None:
    orders = [_collected(tree, seed) for seed in (1, 2)]
    for found in orders:
        recovery = [line for line in found if "recovery" in line]
        assert recovery == [
            f"tests/integration/recovery/test_{module}.py::test_step_{number}"
            for module in (1, 2)
            for number in range(6)
        ]
        assert found[: len(recovery)] == recovery, "what takes longest comes first"
        assert all("unit" in line for line in found[-6:]), "what any worker can run comes last"
    free = [[line for line in found if "unit" in line] for found in orders]
    assert free[0] != free[1], "the rest is shuffled"
    assert sorted(free[0]) == sorted(free[1])
