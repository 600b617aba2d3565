"""Decides which tests run in which order, and which of them share a worker.

pytest-randomly has shuffled them. Tests marked `in_order` build on one another: theirs is the order of the file. What
takes longest begins first, so that no worker waits for another at the end. Tests of one integration module, or of one
`xdist_group`, run in one worker, so that they share what they start.
"""

import pytest

# By the time that a group takes.
_LONGEST_FIRST = ("recovery", "running", "one pipeline", "elsewhere")


def group_of(item: pytest.Item) -> str:
    """Name the tests that `item` shares a worker with; empty if it can run anywhere."""
    if (marker := item.get_closest_marker("xdist_group")) is not None:
        return str(marker.args[0])
    module = item.nodeid.partition("::")[0]
    return module if "/integration/" in module else ""


def _rank(group: str) -> int:
    if group in _LONGEST_FIRST:
        return _LONGEST_FIRST.index(group)
    return len(_LONGEST_FIRST) + (group == "")


def _in_file(item: pytest.Item) -> tuple[int, ...]:
    """Return what sorts `item` among the tests of its module as they are written there."""
    assert isinstance(item, pytest.Function)
    indices = tuple(item.callspec.indices.values()) if hasattr(item, "callspec") else ()
    return (item.function.__code__.co_firstlineno, *indices)


def arranged(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return `items` in the order in which they run."""
    first_of: dict[str, int] = {}
    for number, item in enumerate(items):
        first_of.setdefault(group_of(item), number)
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    for found in modules.values():
        if found[0].get_closest_marker("in_order"):
            found.sort(key=_in_file)
    listed = [item for found in modules.values() for item in found]
    return sorted(listed, key=lambda item: (_rank(group := group_of(item)), first_of[group]))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = arranged(items)
    for item in items:
        if group := group_of(item):
            item.add_marker(pytest.mark.xdist_group(group))
