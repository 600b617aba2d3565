"""The architecture's import rules and the completeness of the dependencies, over the syntax trees of all modules."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from contracts.paths import PROJECT

# Which packages of ours each one may import besides itself. Between the stages stand Kafka and Iceberg: none imports
# the next.
MAY_IMPORT: dict[str, set[str]] = {
    "contracts": set(),
    "lake": {"contracts"},
    "generator": {"contracts", "quality"},  # quality for `python -m generator score`
    "streaming": {"contracts"},
    "quality": {"contracts", "lake"},
    "pipeline_assets": {"contracts", "lake", "quality"},
    "operations": {"contracts", "lake", "generator", "streaming", "quality", "pipeline_assets"},
}
# Libraries that a package must do without, so that it can be used where they are not.
DOES_WITHOUT = {
    "contracts": {"confluent_kafka", "pyflink", "pyiceberg", "dagster", "great_expectations"},
    "lake": {"pyflink", "dagster"},
    "quality": {"pyflink", "dagster"},
    "pipeline_assets": {"pyflink"},
}
# What may use the development dependencies as well.
_FOR_DEVELOPMENT = {"tests", "scripts", "benchmarks"}


def imports_of(path: Path) -> set[str]:
    """The top-level names that the module at `path` imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def imports_by_module(package: str) -> dict[str, set[str]]:
    """The imports of every module of the folder `package`, by its path in the project."""
    return {str(path.relative_to(PROJECT)): imports_of(path) for path in sorted((PROJECT / package).rglob("*.py"))}


def declared(*, development: bool) -> set[str]:
    """The normalized names of the direct dependencies."""
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = list(pyproject["project"]["dependencies"])
    if development:
        requirements += pyproject["dependency-groups"]["dev"]
        requirements += pyproject["tool"]["peers"].values()  # not installed: each has an environment of its own
    return {normalized(re.split(r"[\[=<>~!; ]", requirement)[0]) for requirement in requirements}


@cache
def _distributions() -> Mapping[str, list[str]]:
    """The distributions that bring each importable name; reading them all takes a second."""
    return packages_distributions()


def normalized(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_of_package_reach_only_the_packages_it_may_know(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    ours = set(MAY_IMPORT) | _FOR_DEVELOPMENT
    wrong = {module: found & ours - allowed for module, found in imports_by_module(package).items()}
    assert {module: names for module, names in wrong.items() if names} == {}


@pytest.mark.parametrize("package", DOES_WITHOUT)
def test_imports_of_package_leave_out_the_libraries_it_does_without(package: str) -> None:
    wrong = {module: found & DOES_WITHOUT[package] for module, found in imports_by_module(package).items()}
    assert {module: names for module, names in wrong.items() if names} == {}


@pytest.mark.parametrize("package", [*MAY_IMPORT, *sorted(_FOR_DEVELOPMENT)])
def test_imports_of_third_party_packages_are_direct_dependencies(package: str) -> None:
    known = declared(development=package in _FOR_DEVELOPMENT)
    undeclared = {
        f"{module}: {name}"
        for module, found in imports_by_module(package).items()
        for name in found - sys.stdlib_module_names - set(MAY_IMPORT) - _FOR_DEVELOPMENT
        if not known & {normalized(distribution) for distribution in _distributions().get(name, [name])}
    }
    assert undeclared == set()


def test_imports_of_sees_all_forms(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import a.b, c\nfrom d.e import f\n\ndef g():\n    import h\n    from . import i\n")
    assert imports_of(module) == {"a", "c", "d", "h"}
