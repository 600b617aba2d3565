"""Every mistake in a YAML file is answered with the file, the line and the path at which it stands."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from contracts.errors import ConfigError
from contracts.yaml_files import load_yaml, read_yaml


class Engine(BaseModel):
    model_config = ConfigDict(extra="forbid")
    power: int = Field(ge=1)
    fuel: Literal["petrol", "diesel"] = "petrol"


class Car(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "car"
    engine: Engine | None = None
    wheels: tuple[int, ...] = ()

    @field_validator("wheels")
    @classmethod
    def _even(cls, wheels: tuple[int, ...]) -> tuple[int, ...]:
        if len(wheels) % 2:
            raise ValueError("wheels come in pairs")
        return wheels


def refusal_of(path: Path, text: str | bytes) -> ConfigError:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as refusal:
        load_yaml(path, Car)
    assert refusal.value.source == path
    assert str(refusal.value).startswith(str(path))
    return refusal.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "car.yaml"


def test_load_yaml_right_file_is_the_model(path: Path) -> None:
    path.write_text("name: four  # a comment\nengine: {power: 90}\nwheels: [1, 2]\n")
    assert load_yaml(path, Car) == Car(name="four", engine=Engine(power=90), wheels=(1, 2))


def test_load_yaml_empty_file_is_all_defaults(path: Path) -> None:
    path.write_text("# nothing but a comment\n")
    assert load_yaml(path, Car) == Car()


def test_load_yaml_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as refusal:
        load_yaml(path, Car)
    assert refusal.value.source == path


def test_load_yaml_folder_in_its_place_is_named(path: Path) -> None:
    path.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(path, Car)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("name: a\nengine: {power: 1\nwheels: [1]\n", 3, "not YAML"),
        ("name: a\n\twheels: [1, 2]\n", 2, "not YAML"),
        ("name: a\n---\nname: b\n", 2, "another document"),
        ("name: !!python/object/apply:os.getcwd []\n", 1, "not usable YAML"),
        ("engine: &e {power: 1}\nother: *e\n", 2, "aliases are not allowed"),
        ("engine:\n  power: 1\n  power: 2\n", 3, "written twice, first in line 2"),
        ("name: a\n[1, 2]: b\n", 2, "a key is one word"),
        ("name: a\n? {b: c}\n: d\n", 2, "a key is one word"),
        ("name: a\nname: b\n", 2, "written twice, first in line 1"),
    ],
)
def test_load_yaml_text_that_is_no_sound_yaml_is_refused_with_its_line(
    path: Path, text: str, line: int, reason: str
) -> None:
    error = refusal_of(path, text)
    assert reason in error.reason
    assert error.line == line


@pytest.mark.parametrize("text", ["name: 2026-02-30\n", "name: !!int abc\n", "name: \x00\n", b"name: \xff\n"])
def test_load_yaml_value_that_cannot_be_read_is_refused(path: Path, text: str | bytes) -> None:
    assert "YAML" in str(refusal_of(path, text)) or "cannot be read" in str(refusal_of(path, text))


def test_load_yaml_deep_nesting_is_refused(path: Path) -> None:
    assert "nested deeper than 32 levels" in str(refusal_of(path, "name: " + "[" * 20_000 + "]" * 20_000))


def test_load_yaml_huge_file_is_refused_unread(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(50 * 1024**3)
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        load_yaml(path, Car)


@pytest.mark.parametrize(
    ("text", "line", "place", "reason"),
    [
        ("name: a\ncolour: red\n", 2, "colour", "unknown key"),
        ("engine:\n  power: 1\n  colour: red\n", 3, "engine.colour", "unknown key"),
        ("engine:\n  fuel: diesel\n", 1, "engine.power", "Field required"),
        ("engine:\n  power: much\n", 2, "engine.power", "found 'much'"),
        ("engine:\n  power: 0\n", 2, "engine.power", "greater than or equal to 1 (found 0)"),
        ("engine:\n  power: 1\n  fuel: steam\n", 3, "engine.fuel", "'petrol' or 'diesel' (found 'steam')"),
        ("wheels:\n  - 1\n  - round\n", 3, "wheels.1", "found 'round'"),
        ("name: a\nengine: 5\n", 2, "engine", "found 5"),
        ("name: {a: b}\n", 1, "name", "found a mapping"),
        ("name: a\nwheels: [1, 2, 3]\n", 2, "wheels", "wheels come in pairs"),
    ],
)
def test_load_yaml_value_that_breaks_the_model_is_refused_with_line_and_path(
    path: Path, text: str, line: int, place: str, reason: str
) -> None:
    error = refusal_of(path, text)
    assert (error.line, error.path) == (line, place)
    assert reason in error.reason
    assert "Value error" not in error.reason


def test_load_yaml_long_value_is_shortened(path: Path) -> None:
    error = refusal_of(path, f"engine:\n  power: {'x' * 5000}\n")
    assert len(str(error)) < 400


@pytest.mark.parametrize("text", ["- 1\n", "just words\n", "12\n"])
def test_read_yaml_content_that_is_no_mapping_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="expected a mapping"):
        read_yaml(path)
