"""Copies of the configuration folder with one thing changed, for tests of what a wrong one is answered with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.paths import PROJECT


def copy_of_config(folder: Path) -> Path:
    """The project's configuration, copied to `folder`/config."""
    return Path(shutil.copytree(PROJECT / "config", folder / "config"))


def replaced(path: Path, old: str, new: str) -> int:
    """Replaces the first `old` in the file at `path`; the line (1-based) where it stood."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def changed_contract(config: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    """Applies `change` to the contract called `name`; its path."""
    path = config / "contracts" / f"{name}.schema.json"
    schema = json.loads(path.read_bytes())
    change(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path
