"""Turns one field's rules into the pattern of what stands between the quotes of its value. Pure.

What a whole record looks like, and how Flink is asked about it, is `validation.py`.
"""

import math
import re
from collections.abc import Iterable

from contracts.errors import ConfigError
from contracts.paths import contracts_folder
from contracts.schema import Field

# Days that exist. JSON Schema's format date-time asks for them; Flink's own parsers turn 30 February into the 28th.
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_REAL_DATE = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)T"
)

# What one field may have beside its type: one set, or a part of it.
_ANNOTATIONS = frozenset({"type", "description", "x-column", "x-type"})
_EXPRESSIBLE = (frozenset({"pattern", "format"}), frozenset({"enum"}), frozenset({"minLength", "maxLength"}))
# The part of regular expressions that means the same to JSON Schema and to Java and never matches a quote, a
# backslash or a control character, which the text of a record shows escaped.
_PATTERN = re.compile(
    r"\^(?:[A-Za-z0-9 _,:;@/#|$-]|\\[.+*?()|$]"  # characters
    r"|\[(?:[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9]|[A-Za-z0-9 _.,:;@/#+])+-?\]"  # one of several
    r"|\((?:\?[:!=]|(?!\?))|\)|[*+?]|\{[0-9]+(?:,[0-9]*)?\})*\$"  # groups and how often
)


def content_pattern(field: Field, character: str) -> str:
    """The pattern of what stands between the quotes of `field`'s value; `character` is that of one character.

    Raises ConfigError for a rule it cannot express.
    """
    rules = field.rules
    if rules.get("type") != "string" and (field.required or not _may_be_null(field)):
        raise _refusal(
            field, "type", f"{rules.get('type')!r} cannot be judged in the stream; a transaction's fields are strings"
        )
    asked = set(rules) - _ANNOTATIONS
    if unknown := sorted(asked - frozenset().union(*_EXPRESSIBLE)):
        raise _refusal(field, unknown[0], "this rule cannot be judged in the stream")
    if not any(asked <= together for together in _EXPRESSIBLE):
        raise _refusal(field, max(asked), f"{' and '.join(sorted(asked))} cannot be judged together in the stream")
    if "format" in asked and "pattern" not in asked:
        raise _refusal(field, "format", "a format needs the pattern of how it is written here beside it")
    if "enum" in rules:
        return _alternatives(texts(field))
    if "pattern" in rules:
        return _real(field) + _between_quotes(field)
    return f"{character}{{{rules.get('minLength', 0)},{rules.get('maxLength', '')}}}+"


def takes_null(field: Field) -> bool:
    """Whether `null` is a value of `field`, which is optional."""
    return _may_be_null(field) and None in field.rules.get("enum", (None,))


def texts(field: Field) -> list[str]:
    """The values of a field that has an enum, `null` left out where it may be one."""
    return [value for value in field.rules["enum"] if value is not None or not _may_be_null(field)]


def _may_be_null(field: Field) -> bool:
    types = field.rules.get("type")
    return isinstance(types, list) and sorted(types) == ["null", "string"]


def longest(field: Field) -> float:
    """An upper bound of the characters of `field`'s value; infinite where its rules have none."""
    rules = field.rules
    if "enum" in rules:
        return max(len(value) for value in texts(field))
    if "pattern" in rules:
        return _longest_match(rules["pattern"])
    most: float = rules.get("maxLength", math.inf)
    return most


def _longest_match(pattern: str) -> float:
    # What is open: how a group begins, the longest of its alternatives so far, the present one, and its last item.
    groups = [("", 0.0, 0.0, 0.0)]
    for token in re.findall(r"\\.|\[[^\]]*\]|\((?:\?[:!=])?|\{[^}]*\}|.", pattern):
        if token[0] == "(":
            groups.append((token, 0.0, 0.0, 0.0))
            continue
        group, best, present, last = groups.pop()
        match token[0]:
            case ")":
                looks_ahead = group in ("(?!", "(?=")  # and takes nothing
                last = 0.0 if looks_ahead else max(best, present)
                group, best, present, _ = groups.pop()
                present += last
            case "|":
                best, present, last = max(best, present), 0.0, 0.0
            case "*" | "+":
                present += math.inf if last else 0.0
            case "{":
                most = token[1:-1].split(",")[-1]
                present += last * (int(most) - 1) if most else math.inf
            case "?":
                pass
            case _:
                present, last = present + 1, 1.0
        groups.append((group, best, present, last))
    _, best, present, _ = groups.pop()
    return max(best, present)


def _real(field: Field) -> str:
    match field.rules.get("format"):
        case None | "uuid":  # the pattern beside it is the stricter rule
            return ""
        case "date-time":
            return f"(?={_REAL_DATE})"
        case other:
            raise _refusal(field, "format", f"{other!r} cannot be judged in the stream")


def _between_quotes(field: Field) -> str:
    """A JSON Schema pattern, which sees the value alone, as one that sees the quote behind it."""
    pattern: str = field.rules["pattern"]
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith(r"\$")):
        raise _refusal(field, "pattern", "a pattern must be anchored at both ends, ^...$")
    if not _PATTERN.fullmatch(pattern):
        raise _refusal(
            field, "pattern", "write it with letters, digits, [...], (...), |, ?, *, + and {m,n} alone; a point as \\."
        )
    if _alternates_at_top(pattern):
        raise _refusal(
            field, "pattern", "put the alternatives into a group, ^(?:...|...)$: else each is anchored at one end"
        )
    if re.search(r"(?<!\\)(?:\)[*+]|\)\{[0-9]+,\})(?!\+)", pattern):
        raise _refusal(field, "pattern", "an unbounded repeated group overflows Java's stack on long records; bound it")
    return re.sub(r"(?<!\\)\$", '(?=")', pattern.removeprefix("^").removesuffix("$"))


def _alternates_at_top(pattern: str) -> bool:
    depth = 0
    for token in re.findall(r"\\.|\[[^\]]*\]|.", pattern):
        depth += (token == "(") - (token == ")")
        if token == "|" and depth == 0:
            return True
    return False


def _alternatives(values: Iterable[str]) -> str:
    """One of `values`, sharing first letters: 249 countries cost one look at each letter."""
    tree: dict[str, set[str]] = {}
    for value in values:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_ -]+", value):
            raise ConfigError(contracts_folder(), f"enum value {value!r} needs an escape", path="enum")
        tree.setdefault(value[0], set()).add(value[1:])
    branches = (
        first + ("(?:" + "|".join(sorted(rests)) + ")" if len(rests) > 1 else next(iter(rests)))
        for first, rests in sorted(tree.items())
    )
    return "(?:" + "|".join(branches) + ")"


def _refusal(field: Field, rule: str, reason: str) -> ConfigError:
    path = contracts_folder() / "transaction.schema.json"
    return ConfigError(path, reason, path=f"properties.{field.name}.{rule}")
