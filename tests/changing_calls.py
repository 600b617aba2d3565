"""Finds in the code every call that removes something, and every one that writes."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.paths import PROJECT

PACKAGES = ("contracts", "generator", "lake", "operations", "pipeline_assets", "quality", "streaming")
# Methods and functions that remove. `delete` is also what PyIceberg, SQLAlchemy and Kafka's client call it.
_REMOVES = {
    "unlink", "rmdir", "rmtree", "remove", "delete", "delete_file", "delete_topics", "delete_records", "drop_table",
    "by_ids", "rollback_to_snapshot", "remove_state", "delete_run", "delete_events", "delete_logs",
}  # fmt: skip
_NOTHING_KEPT = {"left.remove"}  # of a list
# Methods and functions that write files and tables.
_WRITES = {
    "write_text", "write_bytes", "write_table", "touch", "copytree", "symlink_to", "rename", "commit",
    "register_table", "rename_table", "replace_files", "save", "take_over",
}  # fmt: skip

_IN_STEPS = {"rmtree", "copytree", "write_text", "write_bytes"}


@dataclass(frozen=True, order=True)
class Call:
    """A call in one of our modules, by its path in the project. `removes` tells it from one that only writes."""

    module: str
    line: int
    called: str
    removes: bool

    @property
    def in_steps(self) -> bool:
        """Tell whether it can be done by half."""
        return self.called.rpartition(".")[2] in _IN_STEPS

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.called}"


def changing_call(node: ast.Call, module: str) -> Call | None:
    """Return what `node` in `module` is, None if it neither removes nor writes."""
    called = ast.unparse(node.func)
    removes = _name(node) in _REMOVES and called not in _NOTHING_KEPT
    return Call(module, node.lineno, called, removes) if removes or _writes(node, called) else None


def removing_calls() -> tuple[Call, ...]:
    """Return every call in the code that removes a file, a folder or rows."""
    return tuple(call for module in _modules() for call in _changing_calls(module) if call.removes)


def modules_of_the_page() -> set[str]:
    """Return the modules that docs/operations.md lists as those that remove something."""
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = page.partition("## What deletes, and why that is safe")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return set(re.findall(r"`([\w/]+\.py)`", "".join(rows)))


def _writes(node: ast.Call, called: str) -> bool:
    match _name(node):
        case "replace":  # a path has one argument, a text two, and a time names them
            return len(node.args) == 1 and not node.keywords
        case "append":
            return called == "table.append"
        case "execute":  # SQL that is built by SQLAlchemy
            built = [each for argument in node.args for each in ast.walk(argument) if isinstance(each, ast.Call)]
            return any(_name(each) == "delete" for each in built)
        case name:
            return name in _WRITES


def _name(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        yield from (str(path.relative_to(PROJECT)) for path in sorted((PROJECT / package).rglob("*.py")))


def _changing_calls(module: str) -> tuple[Call, ...]:
    tree = ast.parse((PROJECT / module).read_bytes())
    calls = (changing_call(node, module) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return tuple(call for call in calls if call)
