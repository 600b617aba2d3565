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

from contracts.errors import ConfigError
from contracts.paths import contracts_folder
from contracts.schema import Contract, Field
from streaming.field_patterns import content_pattern, longest, takes_null

# One character of a JSON string: as it stands, without escapes, and without U+FFFD, which is what DECODE puts for
# bytes that are not UTF-8 (so the fast pattern needs no other test of the encoding) ...
_PLAIN = r'[^"\\\x00-\x1F\uFFFD]'
# ... and as Jackson writes it.
_CANONICAL = r'(?:[^"\\]|\\(?:["\\bfnrt]|u00[01][0-9A-F]))'

_TOP_LEVEL = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "type", "properties", "required", "x-limits"}
)
# No lone surrogate in the whole text: Java would store a question mark in its place.
WELL_PAIRED = (
    r"^(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+\z"
)
# The value of one key, still escaped; every match of it in a canonical text lists the record's values.
VALUE = r'": ?"((?:[^"\\]++|\\.)*+)"'
# A string, quotes included: without its strings a text shows its structure.
STRING = r'"(?:[^"\\]++|\\.)*+"'


def fast_pattern(contract: Contract) -> str:
    """The pattern of a record written in the contract's order with compact or `json.dumps` spacing."""
    _refuse_inexpressible(contract)
    members = ", ?".join(_member(field, _PLAIN, colon=": ?") for field in contract.required)
    more = "".join(f"(?:, ?{_member(field, _PLAIN, colon=': ?')})?" for field in contract.optional)
    return rf"^\{{{members}{more}\}}\z"


def fast_expression(contract: Contract, text: str) -> str:
    """SQL for whether the JSON text in the column `text` is a valid record in the layout of the fast pattern.

    No limit needs a test where the contract's rules keep a record below it.
    """
    matches = f"REGEXP({text}, {quote(fast_pattern(contract))})"
    most = contract.record_limits.bytes
    # UTF-8 has at most four bytes a character; a member has two quotes, a colon, a comma and two blanks beside.
    if 2 + sum(len(field.name) + 8 + 4 * longest(field) for field in contract.fields) <= most:
        return matches
    return f"{matches} AND CHAR_LENGTH({text}) <= {most // 4}"


def fast_values_expression(text: str) -> str:
    """SQL for the pieces of a record of the fast pattern between its quotes: the value of field n is piece 4 n.

    Before it come the beginning of the object, or what parts it from the field before, its name and its colon.
    """
    return f"SPLIT({text}, '\"')"


def canonical_pattern(contract: Contract) -> str:
    """The pattern of the text that `canonical_expression` yields for a valid record."""
    _refuse_inexpressible(contract)
    members = ",".join(_member(field, _CANONICAL) for field in canonical_order(contract))
    if not contract.optional:
        return rf"^\{{{members}\}}\z"
    anchor, chosen = contract.required[0], _optional_order(contract)
    # Whatever is before the anchor has its comma behind it, whatever is after it before.
    before = "".join(f"(?:{_member(field, _CANONICAL)},)?" for field in chosen if field.name < anchor.name)
    after = "".join(f"(?:,{_member(field, _CANONICAL)})?" for field in chosen if field.name > anchor.name)
    return rf"^\[\{{{members}\}},\{{{before}{_member(anchor, _CANONICAL)}{after}\}}\]\z"


def canonical_order(contract: Contract) -> tuple[Field, ...]:
    """The required fields in the order in which the canonical text has them: by name."""
    return tuple(sorted(contract.required, key=lambda field: field.name))


def canonical_expression(contract: Contract, text: str) -> str:
    """SQL for the canonical text of the JSON text in the column `text`; NULL where it is no JSON at all.

    Where the contract has optional fields, it is an array of two objects: the required fields, then the optional ones
    that are there, with one required field among them, since a query for a single property yields no object.
    """
    required = _query(text, canonical_order(contract))
    if not contract.optional:
        return required
    anchored = sorted((*_optional_order(contract), contract.required[0]), key=lambda field: field.name)
    return f"'[' || {required} || ',' || {_query(text, tuple(anchored))} || ']'"


def _query(text: str, fields: tuple[Field, ...]) -> str:
    keys = ",".join(quote(field.name)[1:-1].join(("''", "''")) for field in fields)
    return f"JSON_QUERY('['||{text}||']', 'lax $[0][{keys}]')"


def optional_value_expression(field: Field, *, fast: str, record: str, canonical: str) -> str:
    """SQL for the value of an optional `field`, NULL where it is absent, of the canonical text in `canonical`.

    Where `fast`, it is taken from the `record` itself: no value has a quote in it, so the name between quotes and
    before a colon is the key.
    """
    plain = quote(f'"{field.name}": ?"([^"]*+)"')
    path = quote(f"lax $[1]['{field.name}']")
    return f"CASE WHEN {fast} THEN REGEXP_EXTRACT({record}, {plain}, 1) ELSE JSON_VALUE({canonical}, {path}) END"


def small_expression(contract: Contract, payload: str) -> str:
    """SQL for whether the bytes in the column `payload` are as few as the contract allows.

    Flink cannot count bytes; in Latin-1 every byte is a character.
    """
    return f"CHAR_LENGTH(DECODE({payload}, 'ISO-8859-1')) <= {contract.record_limits.bytes}"


def limits_expression(contract: Contract, text: str) -> str:
    """SQL for whether the JSON text in the column `text` keeps the contract's other limits."""
    return f"REGEXP(REGEXP_REPLACE({text}, {quote(STRING)}, ''), {quote(limits_pattern(contract))})"


def limits_pattern(contract: Contract) -> str:
    """The pattern of a record within the contract's limits, its strings removed."""
    limits = contract.record_limits
    return (
        rf"^(?!(?:[^{{\[]*+[{{\[]){{{limits.containers + 1}}})(?!(?:[^:]*+:){{{limits.members + 1}}})"
        rf"(?![\s\S]*?[-+.0-9eE]{{{limits.number_characters + 1}}})"
        rf"(?![\s\S]*?[eE][-+]?[0-9]{{{limits.exponent_digits + 1}}})"
    )


def quote(text: str) -> str:
    """`text` as an SQL string literal. Flink knows no other escape than the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _member(field: Field, character: str, *, colon: str = ":") -> str:
    value = f'"{content_pattern(field, character)}"'
    return f'"{field.name}"{colon}' + (f"(?:{value}|null)" if takes_null(field) else value)


def _optional_order(contract: Contract) -> tuple[Field, ...]:
    return tuple(sorted(contract.optional, key=lambda field: field.name))


def _refuse_inexpressible(contract: Contract) -> None:
    path = contracts_folder() / f"{contract.name}.schema.json"
    if unknown := sorted(set(contract.schema) - _TOP_LEVEL):
        raise ConfigError(path, "this rule cannot be judged in the stream", path=unknown[0])
    if len(contract.required) < 2:  # a query for a single property yields no object
        raise ConfigError(path, "at least two fields must be required", path="required")
    if contract.fields != (*contract.required, *contract.optional):
        raise ConfigError(
            path,
            f"an optional field stands before a required one; put it behind {contract.required[-1].name}",
            path=f"properties.{contract.optional[0].name}",
        )
    if strange := [field.name for field in contract.fields if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", field.name)]:
        raise ConfigError(path, "a field's name is made of letters, digits and _", path=f"properties.{strange[0]}")
