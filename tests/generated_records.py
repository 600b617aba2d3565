"""Records drawn by hypothesis: valid ones of any contract, changed by value, key, layout and byte; and arbitrary bytes.

A record is drawn as a list of members, since JSON text may have a key twice, in any order.
"""

import json
import os
import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from contracts.schema import Contract, Field
from tests.nasty_records import ANY_VALUE, TEXTS, VALID

# A failure prints it; `RECORDS_SEED=<it> pytest ...` draws the same records again.
SEED = int(os.environ.get("RECORDS_SEED") or random.SystemRandom().randrange(2**32))

Members = list[tuple[str, object]]

_CHARACTERS = st.one_of(
    st.sampled_from('aZ09 "\\/:,{}[]\n\x00\x7fé田😀\u2028\ufffd\ufeff'), st.characters(exclude_categories=["Cs"])
)
_TEXT = st.text(_CHARACTERS, max_size=12)
_NUMBERS = st.one_of(
    st.integers(),
    st.integers(95, 105).map(lambda digits: 10**digits),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(),
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXT, inner, max_size=4)),
    max_leaves=5,
)
_DEEP = st.integers(55, 70).map(lambda depth: json.loads("[" * depth + "]" * depth))
_MANY = st.integers(110, 125).map(lambda count: {f"k{number}": number for number in range(count)})
_PIECES = (b"", b'"', b"\\", b",", b":", b"{", b"}", b"[", b"]", b" ", b"\n", b"0", b"a", b"\x80", b"\xef\xbf\xbd",
    b"\\u0041", b"\\ud800", b"\\n", b'":"', b"null", b"\x00", b"1e", b"-", b"\\", b"//", b"\xef\xbb\xbf")  # fmt: skip


def drawn_records(contract: Contract, count: int) -> list[tuple[str, bytes]]:
    """About `count` records by name, drawn from `SEED`."""
    drawn: list[tuple[str, bytes]] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(payloads(contract))
    def draw(payload: bytes) -> None:
        drawn.append((f"drawn {len(drawn)} with RECORDS_SEED={SEED}", payload))

    draw()
    return drawn


def payloads(contract: Contract) -> st.SearchStrategy[bytes]:
    """Kafka values: about half of them valid by `contract`."""
    written = st.builds(_write, _members(contract), st.integers(0, 2**32))
    damaged = st.builds(
        _damage, written, st.floats(0, 1), st.integers(0, 3), st.one_of(st.sampled_from(_PIECES), st.binary(max_size=4))
    )
    anything = st.one_of(st.binary(max_size=300), _TEXT.map(str.encode), st.builds(_write_value, _JSON))
    return st.one_of(written, written, written, damaged, anything)


@st.composite
def _members(draw: st.DrawFn, contract: Contract) -> Members:
    """The members of a valid record, with up to three changes."""
    fields = {field.name: field for field in contract.fields}
    name = draw(st.sampled_from(list(fields)))
    valid = _valid(fields[name])
    # One field is drawn; a whole record took hypothesis 50 ms.
    members: Members = [(required.name, VALID[required.name]) for required in contract.required]
    if fields[name].required:
        _replace(members, name, draw(valid))
    else:
        members.append((name, draw(valid)))
    changes: list[Callable[[], None]] = [
        lambda: members.append((draw(_TEXT), draw(_JSON))),
        lambda: members.insert(draw(st.integers(0, len(members))), (draw(_TEXT), draw(st.one_of(_JSON, _DEEP, _MANY)))),
        lambda: members.reverse(),
        lambda: members.sort(key=lambda member: member[0]),
    ]
    other = st.one_of(valid, st.sampled_from(TEXTS.get(name, ("",))), st.sampled_from(ANY_VALUE), _JSON)
    changes += [
        lambda: members.append((name, draw(valid))),
        lambda: members.append((name, draw(other))),
        lambda: members.insert(0, (name, draw(other))),
        lambda: _replace(members, name, draw(other)),
        lambda: _rename(members, name, draw(st.one_of(_TEXT, st.just(name.upper()), st.just(f"{name} ")))),
        lambda: _remove(members, draw(st.integers(0, len(members)))),
    ]
    for change in draw(st.lists(st.sampled_from(changes), max_size=3)):
        change()
    return members


def _valid(field: Field) -> st.SearchStrategy[Any]:
    rules = field.rules
    if "enum" in rules:
        return st.sampled_from(rules["enum"])
    if "pattern" in rules:
        text = st.from_regex(rules["pattern"], fullmatch=True)
    else:
        text = st.text(_CHARACTERS, min_size=rules.get("minLength", 0), max_size=min(12, rules.get("maxLength", 12)))
        if "maxLength" in rules:
            most = rules["maxLength"]
            text = st.one_of(
                text, _CHARACTERS.map(lambda one: one * most), _CHARACTERS.map(lambda one: one * (most + 1))
            )
    return st.one_of(text, st.none()) if "null" in rules["type"] else text


def _remove(members: Members, place: int) -> None:
    del members[place : place + 1]


def _replace(members: Members, name: str, value: object) -> None:
    members[:] = [(key, value if key == name else old) for key, old in members]


def _rename(members: Members, name: str, other: str) -> None:
    members[:] = [(other if key == name else key, value) for key, value in members]


def _write(members: Members, layout: int) -> bytes:
    """A JSON text of `members`; what JSON leaves to the writer follows from `layout`."""
    chance = random.Random(layout)
    comma, colon = chance.choice(((",", ":"), (",", ":"), (", ", ": "), (" ,\r\n", "\t: ")))
    escaped = chance.choice((0.0, 0.0, 0.0, 0.02))
    as_ascii = chance.random() < 0.3

    def text(value: object) -> str:
        written = json.dumps(value, ensure_ascii=as_ascii, separators=(comma, colon))
        if not escaped:
            return written
        return "".join(
            f"\\u{ord(character):04{chance.choice('xX')}}"
            if character.isalnum() and character.isascii() and quoted and chance.random() < escaped
            else character
            for character, quoted in _in_strings(written)
        )

    body = comma.join(f"{text(key)}{colon}{text(value)}" for key, value in members)
    return (chance.choice(("", "", "", " ", "\n")) + "{" + body + "}").encode("utf-8", "surrogatepass")


def _in_strings(text: str) -> list[tuple[str, bool]]:
    """Each character of a JSON text, with whether it is one of a string that may be written as an escape."""
    found, inside, after_backslash, skip = [], False, False, 0
    for character in text:
        escapable = inside and not after_backslash and character not in '"\\' and skip == 0
        found.append((character, escapable))
        skip = max(0, skip - 1)
        if after_backslash:
            skip = 4 if character == "u" else 0
            after_backslash = False
        elif character == "\\":
            after_backslash = inside
        elif character == '"':
            inside = not inside
    return found


def _write_value(value: object) -> bytes:
    return json.dumps(value).encode()


def _damage(text: bytes, where: float, length: int, piece: bytes) -> bytes:
    start = int(where * len(text))
    return text[:start] + piece + text[start + length :]
