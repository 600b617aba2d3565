"""Records that have broken validators before: a fixed corpus by name."""

import itertools
import json
from collections.abc import Iterator

VALID: dict[str, str] = {
    "transaction_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "timestamp": "2026-11-22T10:00:00.123Z",
    "account_id": "ACC000000042",
    "amount": "12.50",
    "currency": "EUR",
    "merchant_id": "MER000007",
    "merchant_name": "Grocery & Sons",
    "merchant_category": "5411",
    "transaction_type": "purchase",
    "channel": "pos",
    "country": "CH",
}

# Values for one field, whichever it is: of other JSON types, or text of another shape.
ANY_VALUE: tuple[object, ...] = (
    None, True, 12, 12.5, -0.0, 10**30, [], {}, ["12.50"], {"v": "12.50"}, "", " ", "\x00", "\n", "null", "é",
    "\ufffd", "\ufeff",
)  # fmt: skip

# Texts for the fields whose rules are the finest.
TEXTS: dict[str, tuple[str, ...]] = {
    "transaction_id": (
        "0F8FAD5B-D9CB-469F-A165-70867728950E", "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        "0f8fad5bd9cb469fa16570867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950", "0f8fad5b-d9cb-469f-a165-70867728950e0",
        "0f8fad5b-d9cb-469f-a165-70867728950g",
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "0f8fad5b-d9cb-469f-a165-70867728950e\n",
        "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-7086772895\u0660e",
    ),
    "timestamp": (
        "2024-02-29T00:00:00.000Z", "2023-02-29T00:00:00.000Z", "2000-02-29T00:00:00.000Z", "1900-02-29T00:00:00.000Z",
        "2100-02-29T00:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-04-31T00:00:00.000Z", "2026-06-31T00:00:00.000Z",
        "2026-09-31T00:00:00.000Z", "2026-11-31T00:00:00.000Z", "2026-12-31T23:59:59.999Z", "2026-01-32T00:00:00.000Z",
        "2026-00-10T00:00:00.000Z", "2026-13-10T00:00:00.000Z", "2026-01-00T00:00:00.000Z", "2026-01-10T24:00:00.000Z",
        "2026-01-10T23:60:00.000Z", "2026-01-10T23:59:60.000Z", "2016-12-31T23:59:60.000Z", "0000-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00.000Z", "0004-02-29T00:00:00.000Z", "1582-10-10T00:00:00.000Z", "9999-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.12Z",
        "2026-11-22T10:00:00.1234Z", "2026-11-22t10:00:00.123z", "2026-11-22 10:00:00.123Z",
        "2026-11-22T10:00:00.123+00:00",
        "2026-11-22T10:00:00.123", "2026-11-22T10:00:00,123Z", "20261122T100000.123Z", "2026-W47-7T10:00:00.123Z",
        "1795341600123",
        "2026-11-22T10:00:00.123Z\n", "2026-11-22T10:00:00.123Z ", " 2026-11-22T10:00:00.123Z",
        "+2026-11-22T10:00:00.123Z",
        "12026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.\u0661\u0662\u0663Z", "2026-03-29T02:30:00.000Z",
        "2026-10-25T02:30:00.000Z",
    ),
    "account_id": ("ACC00000004", "ACC0000000042", "acc000000042", "ACC00000004O", "ACC000000042\n",
    "ACC\u0660\u0660\u0660\u0660\u0660\u0660\u0660٤\u0662", "XACC000000042"),
    "amount": (
        "0.00", "00.00", "000000000000.00", "0.01", "00000.01", "999999999999.99", "1000000000000.00", "1", "1.",
        "1.5", ".50",
        "1.505", "-1.00", "+1.00", "1e3", "1,00", "1.00\n", "\n1.00", " 1.00", "1.00 ", "1_0.00",
        "\u0663.\u0660\u0660", "\uff11.00", "NaN", "Infinity",
        "0x1.00", "1.00f", "012.50", "100000000000.00",
    ),
    "currency": ("usd", "US", "USDD", "XTS", "USD\n", " USD", "U", "", "U\u0405D", "EUR|USD", ".*", "JPY", "SGD"),
    "merchant_id": ("MER00000", "MER0000007", "mer000007", "MER000007\r\n", "MER00000a"),
    "merchant_name": (
        "x", "é" * 100, "é" * 101, "😀" * 100, "😀" * 101, "x" * 100, "x" * 101, "e\u0301" * 50, "e\u0301" * 51,
        "\u200b", "\u2028\u2029",
        "\x7f", "\x85", "\xa0", "\ufeffBOM", "\ufffd", "ok\ufffd", "\uffff", "\U0010ffff", "\ue000", "a\nb", "a\tb",
        "a\rb", "a\bb", "a\fb",
        "a\x0bb", "\x00", "\x1f", "a\x00", '"', '""', "\\", "\\\\", '\\"', '"\\', 'a": "b', 'a\\": \\"b', '":"',
        '": "', '","', ':"', '":',
        '","amount":"9.99', '"amount":"9.99"', '","amount":"9.99","x":"', '{"amount":"9.99"}', "}", "]", '"}', '"]',
        "\\u0041", "\\n", "\\ud800",
        "/", "</script>", "'", "''", "' OR 1=1 --", "'; DROP TABLE transactions; --", "=1+1",
        "=HYPERLINK(\"http://x\")", "@SUM(1)", "-1", "+1",
        "${jndi:ldap://x/a}", "%s%n", "$.v", "$[0]", "lax $", "\\E\\Q", "(a+)+$", "null", "NULL", "true", "0", " ",
        "  x  ", "\u202eevil",
        "\n" * 100, "\n" * 101, '"' * 100, '"' * 101, "\\" * 100, "\\" * 101, "\x00" * 100, "\x00" * 101, "田中商店",
        "مقهى", "Ünïcödé ☕", "🏳️‍🌈",
    ),
    "merchant_category": ("541", "54111", "54 1", "5411\n", "\uff10\uff15\uff14\uff11", "abcd", "0000"),
    "transaction_type": ("Purchase", "PURCHASE", "purchase ", "purchases", "pur", "withdrawal", "transfer", "refund",
    "chargeback"),
    "channel": ("POS", "po", "poss", "pos\n", "atm", "online", "pos|atm"),
    "country": ("ch", "ZZ", "C", "CHE", "CH ", "UK", "XK", "ZW", "AD", "US", "EU"),
}  # fmt: skip


def compact(record: object) -> bytes:
    """JSON as orjson and most producers write it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _with(**fields: object) -> bytes:
    return compact({**VALID, **fields})


def nasty() -> Iterator[tuple[str, bytes | None]]:
    """The fixed corpus: a unique name and a Kafka value (None: a record without one)."""
    yield "no value", None
    yield "valid", compact(VALID)
    yield from _layouts()
    yield from _encodings()
    yield from _broken_texts()
    yield from _keys()
    yield from _sizes()
    for field in VALID:
        yield f"without {field}", compact({name: value for name, value in VALID.items() if name != field})
        for number, value in enumerate(ANY_VALUE):
            yield f"{field} as {number} {value!r:.20}", _with(**{field: value})
    for field, texts in TEXTS.items():
        for number, text in enumerate(texts):
            yield f"{field} text {number}", _with(**{field: text})
            yield f"{field} text {number} in ASCII", json.dumps({**VALID, field: text}).encode()
            yield f"{field} text {number} off the fast path", compact({"extra": 1, **VALID, field: text})


def _layouts() -> Iterator[tuple[str, bytes]]:
    text = compact(VALID)
    yield "spaces of json.dumps", json.dumps(VALID).encode()
    yield "indented", json.dumps(VALID, indent=2).encode()
    yield "indented by tabs", json.dumps(VALID, indent="\t").encode()
    yield "two spaces after a colon", text.replace(b":", b":  ", 1)
    yield "a space before a colon", text.replace(b'":', b'" :', 1)
    yield "a line feed after a comma", text.replace(b",", b",\n", 1)
    for name, space in {"space": b" ", "line feed": b"\n", "CR LF": b"\r\n", "tab": b"\t"}.items():
        yield f"{name} before", space + text
        yield f"{name} after", text + space
    for name, space in {
        "NUL": b"\0",
        "VT": b"\v",
        "FF": b"\f",
        "NBSP": b"\xc2\xa0",
        "NEL": b"\xc2\x85",
        "LS": b"\xe2\x80\xa8",
    }.items():
        yield f"{name} before, no JSON space", space + text
        yield f"{name} after, no JSON space", text + space
    yield "keys reversed", compact(dict(reversed(VALID.items())))
    yield "keys sorted", compact(dict(sorted(VALID.items())))
    yield "escaped letter in a value", text.replace(b"EUR", rb"\u0045UR")
    yield "escaped letter in a key", text.replace(b'"amount"', rb'"\u0061mount"')
    yield "escaped slash in a name", text.replace(b"Grocery", rb"\/ocery")
    yield "unknown escape", text.replace(b"Grocery", rb"\xocery")
    yield "short unicode escape", text.replace(b"Grocery", rb"\u41")
    yield "escaped line feed by number", text.replace(b"Grocery", rb"\u000aocery")
    yield "escaped quote by number", text.replace(b"Grocery", rb"\u0022:\u0022")
    yield "escaped backslash by number", text.replace(b"Grocery", rb"\u005c")
    yield "single quotes", text.replace(b'"', b"'")
    yield "bare keys", text.replace(b'"amount"', b"amount")


def _encodings() -> Iterator[tuple[str, bytes]]:
    text = compact(VALID)
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield f"in {encoding}", text.decode().encode(encoding)
    yield "in Latin-1", text.replace(b"Grocery", b"Caf\xe9")
    bad = {
        "lone continuation": b"\x80", "overlong slash": b"\xc0\xaf", "overlong NUL": b"\xc0\x80",
        "encoded surrogate": b"\xed\xa0\x80",
        "surrogate pair in six bytes": b"\xed\xa0\xbd\xed\xb8\x80", "above U+10FFFF": b"\xf4\x90\x80\x80",
        "cut short": b"\xe2\x82", "FF FE": b"\xff\xfe",
    }  # fmt: skip
    for name, piece in bad.items():
        yield f"{name} in a name", text.replace(b"Grocery", piece)
        yield f"{name} in an unknown field", text[:-1] + b',"x":"' + piece + b'"}'
        yield f"{name} in an unknown key", text[:-1] + b',"' + piece + b'":1}'
        yield f"{name} behind the object", text + piece
    surrogates = {
        "high": rb"\ud83d", "low": rb"\ude00", "swapped": rb"\ude00\ud83d", "two high": rb"\ud83d\ud83d",
        "pair": rb"\ud83d\ude00",
        "pair in capitals": rb"\uD83D\uDE00", "after a backslash": rb"\\ud83d", "after two backslashes": rb"\\\ud83d",
        "high, then a letter": rb"\ud83dx",
        "high, then an escape": rb"\ud83d\n", "pair, then high": rb"\ud83d\ude00\ud83d",
        "backslash, then pair's low": rb"\ud83d\\ude00",
    }  # fmt: skip
    for name, piece in surrogates.items():
        yield f"surrogate {name} in a name", text.replace(b"Grocery", piece)
        yield f"surrogate {name} in an unknown field", text[:-1] + b',"x":"' + piece + b'"}'
        yield f"surrogate {name} in an unknown key", text[:-1] + b',"' + piece + b'":1}'
    for code in (*range(0x20), 0x7F):
        yield f"raw control character {code:02x}", text.replace(b"Grocery", bytes([code]))
    yield "2 MB name", _with(merchant_name="x" * 2_000_000)
    yield "2 MB unknown field", _with(x="y" * 2_000_000)
    yield "2 MB of escapes", _with(x='"\\' * 500_000)
    yield "2 MB of escaped surrogate pairs", text[:-1] + b',"x":"' + rb"\ud83d\ude00" * 160_000 + b'"}'
    yield "2 MB of nothing JSON", b"x" * 2_000_000
    yield "2 MB of spaces", b" " * 2_000_000 + text
    yield "30,000 unknown fields", compact({**VALID, **{f"f{number}": number for number in range(30_000)}})


def _broken_texts() -> Iterator[tuple[str, bytes]]:
    text = compact(VALID)
    yield "empty", b""
    for number, other in enumerate(
        (b" ", b"{}", b"[]", b"null", b"true", b"12", b'"x"', b"{", b"}", b"[", b"]", b'"', b"NaN", b"\0", b"{]", b"[}")
    ):
        yield f"other text {number}", other
    for length in range(1, len(text), 9):
        yield f"cut after {length} bytes", text[:length]
    tails = (
        b" x", b"x", text, b" " + text, b"\n" + text, b"]", b"}", b"},", b",", b",1", b',"a":1', b"]x", b"}x", b"][",
        b"}{", b"}]", b"]}", b"{}", b"[]",
        b'"', b":", b"//", b"/* */", b"#", b"\\", b"null", b" null", b"1", b']' + b'[{"a":1}', b'},"v":{}',
        b'}{"v":' + text, b"]" + b"[" + text,
        b'},"w":' + text, b"," + text, b"\xef\xbb\xbf",
    )  # fmt: skip
    for number, tail in enumerate(tails):
        yield f"tail {number}", text + tail
    heads = (
        b"x",
        b",",
        b"[",
        b"{",
        b"]",
        b"}",
        b"1",
        b"null",
        b"//\n",
        b"/**/",
        b"#\n",
        b"{}",
        b"[]",
        b'{"v":',
        b"0",
        b'"',
        b"\xef\xbb\xbf",
    )
    for number, head in enumerate(heads):
        yield f"head {number}", head + text
    yield "inside an array", b"[" + text + b"]"
    yield "inside an object", b'{"v":' + text + b"}"
    yield "trailing comma", text[:-1] + b",}"
    yield "leading comma", b"{," + text[1:]
    yield "missing comma", text.replace(b",", b"", 1)
    yield "missing colon", text.replace(b":", b"", 1)
    values = (
        b"NaN", b"Infinity", b"-Infinity", b"nan", b"+1", b"01", b"-01", b"1.", b".5", b"1e", b"1e+", b"-", b"0x10",
        b"1_000", b"True", b"None", b"undefined",
        b"'x'", b"1 2", b"", b"{]", b"[1,]", b"[,1]", b'{"a":1,}', b"{a:1}", b'{"a" 1}', b"[1 2]", b"nul",
        b"truefalse", b'"\t"', b"/**/1", b"1//\n",
        b"1e400", b"-1e400", b"1e-400", b"0e0", b"-0", b"1E+2", b"9" * 900, b"0." + b"9" * 900, b"9007199254740993",
        b"[" * 60 + b"]" * 60, b'{"a":' * 60 + b"1" + b"}" * 60, b"[" * 400 + b"]" * 400, b'{"amount":"0.00"}',
        b"[[[[1]]]]", b'"\\u0000"', b'"\xef\xbf\xbd"',
    )  # fmt: skip
    for number, value in enumerate(values):
        yield f"unknown field {number}", text[:-1] + b',"x":' + value + b"}"
        yield f"amount as {number}", text.replace(b'"12.50"', value)


def _keys() -> Iterator[tuple[str, bytes]]:
    text = compact(VALID)
    for name, second in {
        "a good": b'"1.00"',
        "a bad": b'"x"',
        "a number": b"1",
        "null": b"null",
        "an object": b"{}",
    }.items():
        yield f"amount twice, {name} one last", text[:-1] + b',"amount":' + second + b"}"
        yield f"amount twice, {name} one first", b'{"amount":' + second + b"," + text[1:]
        yield f"escaped amount, {name} one last", text[:-1] + rb',"\u0061mount":' + second + b"}"
    keys = (
        b"",
        b" ",
        b"Amount",
        b"amount ",
        b"amount.x",
        b"$",
        b"*",
        b"$.amount",
        b"[0]",
        b"'amount'",
        b'\\"amount\\"',
        b"v",
        b"\\u0000",
        b"\xc3\xa9",
        b"__proto__",
    )
    for number, key in enumerate(keys):
        yield f"unknown key {number}", text[:-1] + b',"' + key + b'":"0.00"}'
        yield f"amount under key {number}", text.replace(b'"amount"', b'"' + key + b'"')
    yield (
        "a field one level down",
        compact({**{k: v for k, v in VALID.items() if k != "amount"}, "x": {"amount": "1.00"}}),
    )
    yield (
        "unknown fields of every type",
        _with(a=1, b=None, c=[1, {"amount": "0.00"}], d={"country": "ZZ"}, e=True, f=1.5),
    )
    yield "unknown field amid", text.replace(b'"amount"', b'"x":"y","amount"')
    yield "everything twice", text[:-1] + b"," + text[1:]
    yield "name like a record", _with(merchant_name=json.dumps({"amount": "9.99"}))


def _sizes() -> Iterator[tuple[str, bytes]]:
    """Records at the contract's limits, just beyond them, and beyond what parsers bear."""
    text = compact(VALID)

    def unknown(value: bytes) -> bytes:
        return text[:-1] + b',"x":' + value + b"}"

    for size in (32_767, 32_768, 32_769, 100_000):
        yield f"{size} bytes", unknown(b'"' + b"y" * (size - len(unknown(b'""'))) + b'"')
        yield f"{size} bytes of blanks behind", text.ljust(size)
        yield f"{size} bytes of two-byte letters", unknown(b'"' + "é".encode() * (size // 2) + b'"')
        yield f"{size} bytes not UTF-8", text.replace(b"Grocery", b"\xff").ljust(size)
    for depth in (62, 63, 64, 65, 400, 900, 999, 1001, 5000, 100_000):
        yield f"{depth} arrays", unknown(b"[" * depth + b"]" * depth)
        yield f"{depth} arrays side by side", unknown(b"[" + b",".join([b"[]"] * (depth - 1)) + b"]")
        yield f"{depth} objects", unknown(b'{"a":' * depth + b"1" + b"}" * depth)
        yield f"{depth} brackets in a string", unknown(b'"' + b"[{" * depth + b'"')
        yield f"{depth} open arrays", unknown(b"[" * depth)
        yield f"{depth} arrays as an amount", text.replace(b'"12.50"', b"[" * depth + b"]" * depth)
    for count in (116, 117, 118, 300, 1000):
        more = b",".join(b'"f%d":%d' % (number, number) for number in range(count))
        yield f"{count} unknown members", text[:-1] + b"," + more + b"}"
        yield f"{count} colons in a string", unknown(b'"' + b":" * count + b'"')
        # Jackson gives up on the 301st key of one hash.
        same_hash = ("".join(parts) for parts in itertools.product(("Ab", "BA"), repeat=10))
        keys = b",".join(b'"%s":1' % key.encode() for key in itertools.islice(same_hash, count))
        yield f"{count} keys of one hash", text[:-1] + b"," + keys + b"}"
    for length in (99, 100, 101, 308, 309, 999, 1001, 5000):
        yield f"{length} digits", unknown(b"9" * length)
        yield f"{length - 1} digits and a sign", unknown(b"-" + b"9" * (length - 1))
        yield f"{length - 2} digits of a fraction", unknown(b"0." + b"9" * (length - 2))
        yield f"{length} digits in a string", unknown(b'"' + b"9" * length + b'"')
        yield f"amount of {length} digits", text.replace(b'"12.50"', b"9" * length)
    for exponent in ("9", "99", "+99", "-99", "100", "-100", "+100", "099", "001", "400", "2147483648", "9" * 30):
        yield f"exponent {exponent}", unknown(b"1e" + exponent.encode())
        yield f"exponent {exponent} of a fraction", unknown(b"1.5E" + exponent.encode())
    yield "the largest number", unknown(b"9" * 97 + b"e99")
    yield "the smallest number", unknown(b"0." + b"0" * 93 + b"1e-99")
    for character in (b"\x01", b"\n", b'"', b"\\", b"[", b"{", b"1", b":", b"e", b"\xff", "é".encode(), "😀".encode()):
        yield f"2 MB of {character!r}", character * (2_000_000 // len(character))
