"""Reads a YAML file into a typed model, and says of every mistake in which file, line and path it lies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)

# Configuration is written by hand: the largest sensible file is far smaller. Above this a file is a
# mistake, or an attempt to exhaust memory by nested aliases.
_LARGEST_FILE_BYTES = 1024 * 1024
# PyYAML's time grows with the square of the depth: 40,000 brackets took it 44 s.
_DEEPEST_LEVEL = 32


def load_yaml(path: Path, model: type[Model]) -> Model:
    """The file at `path` as a `model`.

    Raises ConfigError, with the line, for a missing file, bad YAML, an unknown key or a wrong value.
    """
    tree = _compose(path)
    try:
        return model.model_validate(_plain(path, tree))
    except ValidationError as error:
        raise explain(error, path, tree) from error


def read_yaml(path: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    """The mapping in the file at `path`, and its node tree for `explain`. Raises ConfigError."""
    tree = _compose(path)
    content = _plain(path, tree)
    if not isinstance(content, dict):
        raise ConfigError(path, f"expected a mapping of settings, found {type(content).__name__}", line=1)
    return content, tree


def explain(error: ValidationError, path: Path, tree: yaml.Node | None) -> ConfigError:
    """The first mistake of a validation as a ConfigError that points into the file."""
    first = error.errors(include_url=False)[0]
    location: Sequence[str | int] = first["loc"]
    reason = first["msg"]
    if first["type"] == "extra_forbidden":
        reason = "unknown key; see the comments in this file's original for the ones there are"
    elif first["type"] == "value_error" and isinstance(first["input"], Mapping | list):
        reason = reason.removeprefix("Value error, ")  # a rule over several values, which names them itself
    elif first["type"] != "missing":
        reason = f"{reason.removeprefix('Value error, ')} (found {_short(first['input'])})"
    # pydantic puts "[key]" behind a key that is wrong itself.
    named = ".".join(str(step) for step in location if step != "[key]")
    return ConfigError(path, reason, path=named, line=_line(tree, location))


def _compose(path: Path) -> yaml.Node | None:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ConfigError(path, f"larger than {_LARGEST_FILE_BYTES} bytes: not a configuration file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(path, "no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, f"cannot be read: {error}") from error
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else None
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST_LEVEL:
                raise ConfigError(path, f"nested deeper than {_DEEPEST_LEVEL} levels", line=line)
            if isinstance(event, yaml.AliasEvent):
                raise ConfigError(path, "YAML aliases are not allowed here: write the value out", line=line)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(path, f"not YAML: {error.problem}", line=mark.line + 1 if mark else None) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, f"not YAML: {error}") from error


def _plain(path: Path, tree: yaml.Node | None) -> Any:
    if tree is None:
        return {}
    _refuse_duplicate_keys(path, tree)
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(tree)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(path, f"not usable YAML: {error.problem}", line=line) from error
    except ValueError as error:  # a date that does not exist, a number that is none
        raise ConfigError(path, f"not usable YAML: {error}; write it in quotes if it is text") from error
    finally:
        loader.dispose()


def _refuse_duplicate_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(path, "a key is one word, not a list or a mapping", line=line)
            if key.value in seen:
                raise ConfigError(
                    path, f"written twice, first in line {seen[key.value]}", path=str(key.value), line=line
                )
            seen[key.value] = line
            _refuse_duplicate_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_duplicate_keys(path, value)


def _line(node: yaml.Node | None, location: Sequence[str | int]) -> int | None:
    """The line (1-based) of the deepest part of `location` that the file has."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                continue  # a union tag that pydantic put into the path, or a key that is missing
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
