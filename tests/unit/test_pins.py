"""The pins of Python packages and of jars: how they are written, and that the ones in the tree are coherent."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from contracts.paths import PROJECT
from operations import jars
from scripts import jar_pins, pins

PYPROJECT = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
SETTINGS: dict[str, Any] = tomllib.loads(PYPROJECT)
DIRECT: list[str] = [*SETTINGS["project"]["dependencies"], *SETTINGS["dependency-groups"]["dev"]]
CONSTRAINTS: list[str] = SETTINGS["tool"]["uv"]["constraint-dependencies"]


def pin(requirement: str) -> str:
    """`name==version` of a requirement, without extras and markers, the name normalized."""
    name, version = re.sub(r"\[.*?\]", "", requirement.partition(";")[0]).strip().split("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def locked(name: str, version: str, **more: object) -> dict[str, object]:
    return {"name": name, "version": version, "source": {"registry": "somewhere"}, **more}


def test_pins_of_lock_gives_every_package_but_the_project_sorted() -> None:
    project = {"name": "project", "version": "0.1.0", "source": {"editable": "."}}
    assert pins.pins_of({"package": [locked("b", "2"), project, locked("a", "1")]}) == ["a==1", "b==2"]


def test_pins_of_package_locked_twice_says_for_which_python_each_is() -> None:
    old = ["python_full_version < '3.12' and sys_platform == 'linux'", "python_full_version < '3.12'"]
    new = ["python_full_version >= '3.12'"]
    lock = {
        "package": [locked("a", "1", **{"resolution-markers": old}), locked("a", "2", **{"resolution-markers": new})]
    }
    assert pins.pins_of(lock) == ["a==1 ; python_full_version < '3.12'", "a==2 ; python_full_version >= '3.12'"]


def test_pins_of_package_differs_by_platform_is_refused() -> None:
    apart = [
        locked("a", "1", **{"resolution-markers": ["sys_platform == 'linux'"]}),
        locked("a", "2", **{"resolution-markers": ["sys_platform == 'darwin'"]}),
    ]
    with pytest.raises(SystemExit, match="a has several versions"):
        pins.pins_of({"package": apart})


def test_with_pins_replaces_the_pins_and_nothing_else() -> None:
    text = 'a = 1\nconstraint-dependencies = [\n  "x==1",\n]\nb = [\n]\n'
    assert pins.with_pins(text, ["y==2"]) == 'a = 1\nconstraint-dependencies = [\n  "y==2",\n]\nb = [\n]\n'


def test_with_pins_file_has_no_place_for_them_says_so() -> None:
    with pytest.raises(SystemExit, match="exactly one constraint-dependencies list"):
        pins.with_pins("a = 1\n", [])


def test_pyproject_rewritten_with_its_own_pins_stays_as_it_is() -> None:
    assert pins.with_pins(PYPROJECT, CONSTRAINTS) == PYPROJECT


def test_pyproject_direct_dependencies_are_pinned_to_what_the_resolve_took() -> None:
    assert {pin(requirement) for requirement in DIRECT} <= {pin(constraint) for constraint in CONSTRAINTS}


def test_pyproject_overrides_are_the_direct_pins() -> None:
    overrides = SETTINGS["tool"]["uv"]["override-dependencies"]
    assert {pin(override) for override in overrides} <= {pin(requirement) for requirement in DIRECT}


def test_pyproject_every_direct_dependency_has_a_reason() -> None:
    lines = [line.strip() for line in PYPROJECT.splitlines()]
    for requirement in DIRECT:
        at = next(number for number, line in enumerate(lines) if line.startswith(f'"{requirement}"'))
        assert "# " in lines[at] or lines[at - 1].startswith("# "), requirement


def test_pyproject_dependency_metadata_is_what_the_packages_say() -> None:
    for stated in SETTINGS["tool"]["uv"]["dependency-metadata"]:
        package = distribution(stated["name"])
        actual = [requirement for requirement in package.requires or [] if "extra ==" not in requirement]
        assert (stated["version"], stated.get("requires-dist", [])) == (package.version, actual), stated["name"]


def test_jar_pins_file_rewritten_with_its_own_pins_stays_as_it_is() -> None:
    text = jars.FILE.read_text(encoding="utf-8")
    assert jar_pins.render(text.split(jar_pins.MARKER)[0], jars.read_jars().pins) == text


def test_jar_pins_check_coordinate_was_added_names_it(tmp_path: Path) -> None:
    file = tmp_path / "jars.yaml"
    file.write_text("sets:\n  flink:\n    transitive: false\n    coordinates: [org.example:new:1.0]\npins: {}\n")
    assert jar_pins.check(file) == ["flink: not pinned ['org.example:new:1.0'], no longer needed []"]
