"""Every module that removes a file, a folder or rows is listed in docs/operations.md, with what makes that safe."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from contracts.paths import PROJECT

_PACKAGES = ("contracts", "generator", "lake", "operations", "pipeline_assets", "quality", "streaming")
# Methods and functions that remove. `delete` is also what PyIceberg, SQLAlchemy and Kafka's client call it.
_REMOVES = {
    "unlink", "rmdir", "rmtree", "remove", "delete", "delete_file", "delete_topics", "delete_records", "drop_table",
    "by_ids", "rollback_to_snapshot", "remove_state",
}  # fmt: skip
_NOTHING_KEPT = {"left.remove"}  # of a list


def _removing_calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] in _REMOVES and called not in _NOTHING_KEPT:
                yield f"{path.relative_to(PROJECT)}:{node.lineno}: {called}"


def test_modules_that_remove_something_are_those_that_the_page_on_operations_lists() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.partition("## What deletes, and why that is safe")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([\w/]+\.py)`", section))
    calls = [
        call
        for package in _PACKAGES
        for path in sorted((PROJECT / package).rglob("*.py"))
        for call in _removing_calls(path)
    ]
    found = {call.partition(":")[0] for call in calls}
    assert found - listed == set(), "\n".join(call for call in calls if call.partition(":")[0] not in listed)
    assert listed - found == set(), "listed, and removes nothing"
