"""Copies of the configuration folder with one thing changed, for tests of what a wrong one is answered with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts import tables
from contracts.paths import PROJECT
from contracts.schema import load_contract


def copy_of_config(folder: Path) -> Path:
    """The project's configuration, copied to `folder`/config."""
    return Path(shutil.copytree(PROJECT / "config", folder / "config"))


def replaced(path: Path, old: str, new: str) -> int:
    """Replaces the first `old` in the file at `path`; the line (1-based) where it stood."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def changed_contract(config: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Path:
    """Applies `change` to the contract called `name`; its path."""
    path = config / "contracts" / f"{name}.schema.json"
    schema = json.loads(path.read_bytes())
    change(schema)
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def with_optional_fields(config: Path) -> Path:
    """Adds an optional field of every kind to the transaction contract of the folder `config`; the folder."""

    def add(schema: dict[str, Any]) -> None:
        time = schema["properties"]["timestamp"]
        schema["properties"] |= {
            "note": {"description": "Free text.", "type": ["string", "null"], "maxLength": 20},
            "device": {"description": "A device.", "type": "string", "pattern": "^DEV[0-9]{3}$"},
            "risk": {"description": "A guess.", "type": ["string", "null"], "enum": ["low", "high", None]},
            "settled": {**time, "description": "When it was settled.", "x-column": "settled_at"},
        }

    changed_contract(config, "transaction", add)
    return config


def forget_contracts() -> None:
    """Has contracts and tables read anew, from the configuration that the environment names by now."""
    load_contract.cache_clear()
    tables._table.cache_clear()
