"""Records that strangers write into the topic of alerts: each with why it is no alert, None if it is one."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

from tests.unit.streaming.test_alerts_in import ALERT

# The accounts of alerts that keep the contract and have no transaction begin so.
FORGED = "ACC69"
_BYTES: tuple[tuple[bytes | None, str], ...] = (
    (b"hello", "malformed_json"),
    (b"", "malformed_json"),
    (b"\xff", "not_utf8"),
    (None, "no_payload"),
    (b"{}", "missing_field"),
    (b"[1]", "not_an_object"),
    (b'{"alert_id": null}', "missing_field"),
    (b'{"order": 4711, "lines": [{"article": "shoe"}]}', "missing_field"),
)
_CHANGES: tuple[tuple[Mapping[str, object], str | None], ...] = (
    ({"more": "of another system"}, "bad_format"),
    ({"source_offset": 10**30}, "bad_format"),
    ({"severity": "grave"}, "not_in_enum"),
    ({"evidence": {"much": "x" * 40_000}}, "too_large"),
    ({"evidence": {"much": "x" * 800_000}}, "too_large"),
    ({"evidence": {"much": "é" * 15_000}}, None),
    ({}, None),
)


def foreign_alert(random: Random) -> tuple[bytes | None, str | None, str]:
    """Draw one: its value, the reason, and the account that it names, if it names one."""
    account = f"{FORGED}{random.randrange(10**7):07}"
    number = random.randrange(len(_BYTES) + len(_CHANGES))
    if number < len(_BYTES):
        return *_BYTES[number], account
    changes, why = _CHANGES[number - len(_BYTES)]
    own: dict[str, Any] = {
        "alert_id": f"{random.getrandbits(256):064x}",
        "transaction_id": str(UUID(int=random.getrandbits(128))),
        "account_id": account,
        "source_offset": 0,
    }
    return json.dumps({**ALERT, **own, **changes}, ensure_ascii=False).encode(), why, account
