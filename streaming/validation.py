"""Turns the transaction contract into the text that Flink judges records by. Pure: strings in, strings out.

A record is decided in the JVM, exactly as a JSON Schema validator would decide it, in two ways:

* the *fast* pattern matches a whole record as a producer writes it (the contract's fields, in its order, no
  others, no escapes). It is sound: what it accepts is valid. It needs no JSON parser.
* what it does not match is parsed once. `JSON_QUERY` over several properties returns the contract's fields alone,
  sorted by name, escapes normalised, the last of duplicate keys: a canonical text that one pattern can judge.

Java's regular expressions are meant throughout: `\\z` is the end of the text (`$` also matches before a final line
feed), `++` and `{m,n}+` never backtrack (an unbounded group would overflow the stack on a long record).
"""

import re
from collections.abc import Iterable

from contracts.errors import ConfigError
from contracts.paths import config_folder
from contracts.schema import Contract, Field

# Days that exist. JSON Schema's format date-time asks for them; Flink's own parsers turn 30 February into the 28th.
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_REAL_DATE = (
    "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)T"
)
# One character of a JSON string: as it stands, without escapes, and without U+FFFD, which is what DECODE puts for
# bytes that are not UTF-8 (so the fast pattern needs no other test of the encoding) ...
_PLAIN = r'[^"\\\x00-\x1F\uFFFD]'
# ... and as Jackson writes it.
_CANONICAL = r'(?:[^"\\]|\\(?:["\\bfnrt]|u00[01][0-9A-F]))'

# What one field may have beside its type: one set, or a part of it.
_ANNOTATIONS = frozenset({"type", "description", "x-column", "x-type"})
_EXPRESSIBLE = (frozenset({"pattern", "format"}), frozenset({"enum"}), frozenset({"minLength", "maxLength"}))
_TOP_LEVEL = frozenset({"$schema", "$id", "title", "description", "type", "properties", "required"})
# The part of regular expressions that means the same to JSON Schema and to Java and never matches a quote, a
# backslash or a control character, which the text of a record shows escaped.
_PATTERN = re.compile(
    r"\^(?:[A-Za-z0-9 _,:;@/#|$-]|\\[.+*?()|$]"  # characters
    r"|\[(?:[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9]|[A-Za-z0-9 _.,:;@/#+])+-?\]"  # one of several
    r"|\((?:\?[:!=]|(?!\?))|\)|[*+?]|\{[0-9]+(?:,[0-9]*)?\})*\$"  # groups and how often
)

# No lone surrogate in the whole text: Java would store a question mark in its place.
WELL_PAIRED = (
    r"^(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+\z"
)
# The value of one key, still escaped; every match of it in a record lists the record's values.
VALUE = r'": ?"((?:[^"\\]++|\\.)*+)"'


def fast_pattern(contract: Contract) -> str:
    """The pattern of a record written in the contract's order with compact or `json.dumps` spacing."""
    _refuse_inexpressible(contract)
    members = ", ?".join(f'"{field.name}": ?"{_content(field, _PLAIN)}"' for field in contract.fields)
    return rf"^\{{{members}\}}\z"


def canonical_pattern(contract: Contract) -> str:
    """The pattern of the text that `canonical_expression` yields for a valid record."""
    _refuse_inexpressible(contract)
    members = ",".join(f'"{field.name}":"{_content(field, _CANONICAL)}"' for field in canonical_order(contract))
    return rf"^\{{{members}\}}\z"


def canonical_order(contract: Contract) -> tuple[Field, ...]:
    """The fields in the order in which the canonical text has them: by name."""
    return tuple(sorted(contract.fields, key=lambda field: field.name))


def canonical_expression(contract: Contract, text: str) -> str:
    """SQL for the canonical text of the JSON text in the column `text`; NULL where it is no JSON at all."""
    keys = ",".join(quote(field.name)[1:-1].join(("''", "''")) for field in canonical_order(contract))
    return f"JSON_QUERY('['||{text}||']', 'lax $[0][{keys}]')"


def quote(text: str) -> str:
    """`text` as an SQL string literal. Flink knows no other escape than the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _refuse_inexpressible(contract: Contract) -> None:
    if unknown := sorted(set(contract.schema) - _TOP_LEVEL):
        path = config_folder() / "contracts" / f"{contract.name}.schema.json"
        raise ConfigError(path, "this rule cannot be judged in the stream", path=unknown[0])


def _content(field: Field, character: str) -> str:
    """The pattern of what stands between the quotes of `field`'s value.

    Raises ConfigError for a rule it cannot express.
    """
    rules = field.rules
    if rules.get("type") != "string":
        raise _refusal(
            field, "type", f"{rules.get('type')!r} cannot be judged in the stream; a transaction's fields are strings"
        )
    if not field.required:
        raise _refusal(field, "required", "an optional field cannot be judged in the stream; list it under required")
    asked = set(rules) - _ANNOTATIONS
    if unknown := sorted(asked - frozenset().union(*_EXPRESSIBLE)):
        raise _refusal(field, unknown[0], "this rule cannot be judged in the stream")
    if not any(asked <= together for together in _EXPRESSIBLE):
        raise _refusal(field, max(asked), f"{' and '.join(sorted(asked))} cannot be judged together in the stream")
    if "format" in asked and "pattern" not in asked:
        raise _refusal(field, "format", "a format needs the pattern of how it is written here beside it")
    if "enum" in rules:
        return _alternatives(rules["enum"])
    if "pattern" in rules:
        return _real(field) + _between_quotes(field)
    return f"{character}{{{rules.get('minLength', 0)},{rules.get('maxLength', '')}}}+"


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
            raise ConfigError(config_folder() / "contracts", f"enum value {value!r} needs an escape", path="enum")
        tree.setdefault(value[0], set()).add(value[1:])
    branches = (
        first + ("(?:" + "|".join(sorted(rests)) + ")" if len(rests) > 1 else next(iter(rests)))
        for first, rests in sorted(tree.items())
    )
    return "(?:" + "|".join(branches) + ")"


def _refusal(field: Field, rule: str, reason: str) -> ConfigError:
    path = config_folder() / "contracts" / "transaction.schema.json"
    return ConfigError(path, reason, path=f"properties.{field.name}.{rule}")
