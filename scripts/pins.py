# /// script
# requires-python = ">=3.11"
# ///
"""Pins every Python package in `pyproject.toml`: `[tool.uv] constraint-dependencies` becomes what a resolve gives.

`uv run scripts/pins.py` resolves and rewrites them, keeping the versions of `uv.lock` where they still fit
(`--upgrade` takes the newest); `--check` resolves under them and exits with 1 where the outcome differs. Since the
resolve is held by the pins themselves, a new release somewhere does not change the outcome.

Needs nothing but uv and Python: it must run when the project itself no longer resolves.
"""

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^constraint-dependencies = \[\n.*?^\]\n", re.MULTILINE | re.DOTALL)


def pins_of(lock: dict[str, Any]) -> list[str]:
    """The packages of a uv.lock, but for the project itself, as sorted requirements.

    A package that is locked twice gets the Python versions that tell its two versions apart.
    """
    packages = [package for package in lock["package"] if "registry" in package["source"]]
    names = [package["name"] for package in packages]
    return sorted(
        f"{each['name']}=={each['version']}" + (_marker(each) if names.count(each["name"]) > 1 else "")
        for each in packages
    )


def _marker(package: dict[str, Any]) -> str:
    """Only what matters of uv's markers: how it spells the rest (the platforms) is its own and may change."""
    clauses = set(re.findall(r"python_full_version [<>=]+ '[0-9.]+'", " ".join(package["resolution-markers"])))
    if len(clauses) != 1:
        raise SystemExit(
            f"{package['name']} has several versions that no single Python version tells apart: "
            f"{package['resolution-markers']}. Give it one version in the dependencies"
        )
    return f" ; {clauses.pop()}"


def with_pins(pyproject: str, pins: list[str]) -> str:
    """The text of pyproject.toml with `pins` in place of those it has."""
    block = "".join(f'  "{pin}",\n' for pin in pins)
    text, count = _BLOCK.subn(lambda _match: f"constraint-dependencies = [\n{block}]\n", pyproject)
    if count != 1:
        raise SystemExit(f"pyproject.toml needs exactly one constraint-dependencies list of [tool.uv]; found {count}")
    return text


def resolve(pyproject: str, *, lock: Path | None = None) -> dict[str, Any]:
    """The uv.lock that uv makes of `pyproject`, preferring the versions in the file `lock`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        if lock is not None and lock.exists():
            shutil.copy(lock, folder / "uv.lock")
        # `uv run` names itself in UV. The environment of the caller must not lead uv back to this project.
        environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "UV_PROJECT")}
        done = subprocess.run(
            [os.environ.get("UV", "uv"), "lock", "--quiet", "--directory", name], env=environment, check=False
        )
        if done.returncode:
            raise SystemExit("uv could not resolve pyproject.toml; its message is above")
        return tomllib.loads((folder / "uv.lock").read_text(encoding="utf-8"))


def main() -> int:
    """Exit code: 0 where the pins are right or were written, 1 where `--check` found them wrong."""
    path = PROJECT / "pyproject.toml"
    pyproject = path.read_text(encoding="utf-8")
    pinned = tomllib.loads(pyproject)["tool"]["uv"]["constraint-dependencies"]
    if "--check" in sys.argv[1:]:
        resolved = pins_of(resolve(pyproject))
        sys.stderr.writelines(
            difflib.unified_diff(
                [f"{pin}\n" for pin in pinned], [f"{pin}\n" for pin in resolved], "pyproject.toml", "resolve", n=0
            )
        )
        if resolved != pinned:
            sys.stderr.write(
                "The pins in pyproject.toml are not what it resolves to. Rewrite them: uv run scripts/pins.py\n"
            )
        return int(resolved != pinned)
    lock = None if "--upgrade" in sys.argv[1:] else PROJECT / "uv.lock"
    path.write_text(with_pins(pyproject, pins_of(resolve(with_pins(pyproject, []), lock=lock))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
