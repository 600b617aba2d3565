"""Decides which tests run in which order, and which of them share a worker.

pytest-randomly has shuffled them. The integration tests of one folder, or of one module outside of such a folder, run
in one worker, since they share what they start. Tests marked `in_order` build on one another: theirs is the order of
the files and of the lines. What takes longest begins first, so that no worker is left alone with it at the end.
"""

from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# By the time that a group takes. The rest, by which both workers end at about the same time, comes in random order.
_LONGEST_FIRST = ("recovery", "one_pipeline", "running", "test_elsewhere", "test_upgrade")


def group_of(nodeid: str) -> str:
    """Name the tests that the one of this id shares a worker with; empty if it can run in any."""
    parts = PurePosixPath(nodeid.partition("::")[0]).with_suffix("").parts
    return parts[parts.index("integration") + 1] if "integration" in parts[:-1] else ""


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist carries no types
    """Gives each group to one worker, and every other test to whichever is free.

    `--dist=loadgroup` of pytest-xdist 3.8 would do it, but is without effect under pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Have pytest-xdist give out the tests by their groups."""
    return GroupScheduling(config, log)


def _rank(group: str) -> int:
    if group in _LONGEST_FIRST:
        return _LONGEST_FIRST.index(group)
    return len(_LONGEST_FIRST) + (group == "")


def _place(item: pytest.Item) -> tuple[object, ...]:
    """Return what sorts `item` among the tests of its group as they are written."""
    assert isinstance(item, pytest.Function)
    indices = tuple(item.callspec.indices.values()) if hasattr(item, "callspec") else ()
    return (str(item.path), item.function.__code__.co_firstlineno, *indices)


def arranged(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the shuffled `items` in the order in which they run."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    for found in groups.values():
        ordered = [number for number, item in enumerate(found) if item.get_closest_marker("in_order")]
        for number, item in zip(ordered, sorted((found[each] for each in ordered), key=_place), strict=True):
            found[number] = item
    return [item for group in sorted(groups, key=_rank) for item in groups[group]]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = arranged(items)
