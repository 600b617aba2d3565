"""The tree speaks of the product alone: no file of it names a machine's folders or a registry's host."""

import re
import subprocess
from pathlib import Path

import pytest

from contracts.paths import PROJECT

# Written in pieces, so that this file itself passes.
_FOLDERS = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/"]
_HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "maven" + ".org",
    "maven.apache" + ".org",
    "npm" + "js.org",
    "crates" + ".io",
    "docker" + ".io",
    "ghcr" + ".io",
    "quay" + ".io",
    "anaconda" + ".org",
]
FORBIDDEN = re.compile(
    "|".join([rf"(?<![\w.$}}]){re.escape(folder)}" for folder in _FOLDERS] + [re.escape(host) for host in _HOSTS])
)


def tree() -> list[Path]:
    """Every file of the project that is or could be committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name and (PROJECT / name).is_file()]


def test_tree_no_file_names_a_folder_of_a_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{number}: {match.group()}"
        for path in tree()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if (match := FORBIDDEN.search(line))
    ]
    assert found == []


def test_tree_has_no_lock_file() -> None:
    assert [path.name for path in tree() if path.name in ("uv.lock", "jgo.lock.toml")] == []


@pytest.mark.parametrize("text", ["see " + _FOLDERS[0] + "main", f'"{_FOLDERS[2]}me/x"', f"https://{_HOSTS[0]}/simple"])
def test_forbidden_text_with_such_a_name_is_found(text: str) -> None:
    assert FORBIDDEN.search(text)


@pytest.mark.parametrize("text", ["frame" + _FOLDERS[0], "$STATE" + _FOLDERS[1], "Maven Central", "PyPI"])
def test_forbidden_harmless_text_is_not_found(text: str) -> None:
    assert not FORBIDDEN.search(text)
