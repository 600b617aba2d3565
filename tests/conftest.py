"""What every test shares: plugins, signals as they are in a terminal, golden files.

`pytest --update-golden` rewrites the golden files: read the difference before committing.
"""

import signal
from collections.abc import Callable

import pytest

from contracts.paths import PROJECT

pytest_plugins = ["tests.plugins.leftovers", "tests.plugins.order"]

Golden = Callable[[str, str], None]


def pytest_configure() -> None:
    # A shell that starts a job in the background has it ignore SIGINT; tests interrupt their children, which inherit
    # that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files instead of comparing with them"
    )
    parser.addoption("--compose", action="store_true", help="run the tests that need Docker Compose and the images")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--compose"):
        skip = pytest.mark.skip(reason="needs Docker: pytest --compose")
        for item in items:
            if item.get_closest_marker("compose"):
                item.add_marker(skip)


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compares a text with the golden file of this name (a path under tests/golden)."""

    def compare(name: str, text: str) -> None:
        path = PROJECT / "tests" / "golden" / name
        if pytestconfig.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text == expected, f"differs from {path.relative_to(PROJECT)}; if that is wanted: pytest --update-golden"

    return compare
