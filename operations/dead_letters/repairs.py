"""What a person wants to replay, as values: a line of a repaired file, or one position with its new payload."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from contracts.positions import Position
from operations.dead_letters.payloads import UTF8, NotRepairable, Payload
from streaming.explain import explain

# How the explanation of a record says that it finds no breach.
_NO_BREACH = "validator_disagreement"


@dataclass(frozen=True)
class Repair:
    """One record that is to be sent again, judged by the contract.

    `line` is its line in the file, `breach` the reason code and message of what is still wrong with it; a valid one
    has neither and has its transaction and account.
    """

    position: Position
    value: bytes | None
    breach: tuple[str, str] | None
    transaction_id: str = ""
    account_id: str = ""
    line: int | None = None

    @property
    def sha256(self) -> str:
        """Of the payload's bytes."""
        return hashlib.sha256(self.value or b"").hexdigest()


@dataclass(frozen=True)
class Unreadable:
    """A line that names no position, or has no payload."""

    line: int
    mistake: str


def judge(position: Position, value: bytes | None, *, line: int | None = None) -> Repair:
    """The repair of the dead letter at `position` by this payload, with the contract's verdict."""
    explanation = explain(value)
    if value is None or explanation.reason_code != _NO_BREACH:
        return Repair(position, value, (explanation.reason_code, explanation.message), line=line)
    record = json.loads(value)
    return Repair(position, value, None, str(record["transaction_id"]), str(record["account_id"]), line)


def read_lines(lines: Iterable[bytes]) -> Iterator[Repair | Unreadable]:
    """The repairs of a file as `export` writes it, one JSON object a line. Empty lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read(number, line)


def _read(number: int, line: bytes) -> Repair | Unreadable:
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise ValueError("not a JSON object")
        place = f"{entry['topic']}/{entry['partition']}/{entry['offset']}"
        text = entry["payload"]
        if not (text is None or isinstance(text, str)):
            raise ValueError(
                "payload is not a text: it holds the record's bytes, so write the JSON in quotes (in jq: tojson)"
            )
        return judge(Position.parse(place), Payload(text, entry.get("payload_encoding", UTF8)).value(), line=number)
    except KeyError as error:
        return Unreadable(number, f"no {error.args[0]}; a line has topic, partition, offset and payload")
    except (NotRepairable, ValueError, RecursionError) as error:
        return Unreadable(number, str(error))
