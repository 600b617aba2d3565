"""What a person or a program is shown of dead letters and replays. Pure: values in, text, tables or JSON out."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.positions import Position
from operations.dead_letters.ledger import Attempt
from operations.dead_letters.payloads import BASE64, Payload, hex_dump, printable
from operations.dead_letters.reading import DeadLetter
from operations.dead_letters.replay import GOOD, Outcome, Result

# Of a payload, on a screen; the export has all of it.
_MOST_CHARACTERS, _MOST_BYTES = 4_000, 512

_WORDS = {
    Outcome.REPLAYED: "replayed",
    Outcome.WOULD_REPLAY: "would be replayed",
    Outcome.ALREADY_REPLAYED: "already replayed",
    Outcome.OTHER_PAYLOAD: "already replayed with another payload",
    Outcome.INVALID: "still invalid",
    Outcome.UNKNOWN_POSITION: "no such dead letter",
    Outcome.DUPLICATE_TRANSACTION: "of a transaction that is already there",
    Outcome.UNSETTLED: "not known",
    Outcome.UNREADABLE: "unreadable",
}


@dataclass(frozen=True)
class State:
    """Whether a dead letter was repaired: `open`, `replayed` (as what), or `unsettled` after a replay was cut off."""

    name: str
    replayed_as: Position | None = None

    @classmethod
    def of(cls, attempt: Attempt | None, arrived: Position | None) -> "State":
        """From what the ledger knows of it and from where the row stands that points to it."""
        if place := (attempt.replayed_as if attempt else None) or arrived:
            return cls("replayed", place)
        return cls("unsettled" if attempt else "open")

    def __str__(self) -> str:
        return f"replayed as {self.replayed_as.short}" if self.replayed_as else self.name


def listing(letters: Sequence[tuple[DeadLetter, State]], by_reason: Mapping[str, int]) -> RenderableType:
    """The table of `list`, with how many there are of each reason below it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("position", no_wrap=True)
    table.add_column("refused at (UTC)", no_wrap=True)
    table.add_column("reason", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("message", no_wrap=True, overflow="ellipsis", ratio=1)
    for letter, state in letters:
        table.add_row(
            letter.position.short, f"{letter.failed_at:%Y-%m-%d %H:%M:%S}", printable(letter.reason_code), str(state),
            Text(printable(letter.message)),
        )  # fmt: skip
    total = sum(by_reason.values())
    if not total:
        return Text("No dead letters.")
    counts = ", ".join(f"{printable(reason)} {count:,}" for reason, count in by_reason.items())
    shown = f"{len(letters):,} of " if len(letters) < total else ""
    return Group(table, Text(f"\n{shown}{total:,} dead letter{'s' if total > 1 else ''}: {counts}"))


def listing_json(letters: Sequence[tuple[DeadLetter, State]], by_reason: Mapping[str, int]) -> str:
    """The same for programs: one object."""
    return json.dumps(
        {"dead_letters": [_facts(letter, state) for letter, state in letters], "by_reason": dict(by_reason)}, indent=2
    )


def one(letter: DeadLetter, state: State, attempts: Sequence[Attempt]) -> RenderableType:
    """Everything about one dead letter."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in (
        ("position", str(letter.position)),
        ("refused at", letter.failed_at.isoformat(timespec="milliseconds")),
        ("reason", letter.reason_code),
        ("message", letter.message),
        ("state", str(state)),
        ("replay of", letter.replayed_from or ""),
    ):
        if value:
            facts.add_row(name, Text(printable(value)))
    parts: list[RenderableType] = [facts, Text("\npayload", style="bold"), _payload(letter.payload)]
    if attempts:
        parts += [Text("\nreplays", style="bold"), _attempts(attempts)]
    return Group(*parts)


def one_json(letter: DeadLetter, state: State, attempts: Sequence[Attempt]) -> str:
    """The same for programs, the payload exactly."""
    return json.dumps(
        {**exported(letter), **_facts(letter, state), "attempts": list(map(_attempt, attempts))}, indent=2
    )


def exported(letter: DeadLetter) -> dict[str, object]:
    """A dead letter as the contract has it: a line of the export."""
    payload = letter.payload or Payload.of(None)
    return {
        "topic": letter.position.topic,
        "partition": letter.position.partition,
        "offset": letter.position.offset,
        "reason_code": letter.reason_code,
        "message": letter.message,
        "payload": payload.text,
        "payload_encoding": payload.encoding,
        "failed_at": letter.failed_at.isoformat(timespec="milliseconds"),
        "replayed_from": letter.replayed_from,
    }


def sentence(result: Result) -> str:
    """One result in words."""
    place = result.position.short if result.position else f"line {result.line}"
    match result.outcome:
        case Outcome.REPLAYED if result.replayed_as:
            return f"{place} replayed as {result.replayed_as.short}"
        case Outcome.ALREADY_REPLAYED if result.replayed_as:
            return f"{place} was already replayed as {result.replayed_as.short}; nothing was sent"
        case Outcome.WOULD_REPLAY:
            return f"{place} is valid and would be replayed"
        case Outcome.INVALID:
            return printable(f"{place} refused: {result.reason_code}: {result.message}; nothing was sent")
        case _:
            return printable(f"{place}: {result.message}")


def summary(results: Sequence[Result]) -> str:
    """How many results there are of each kind."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[outcome]:,} {words}" for outcome, words in _WORDS.items() if counts[outcome]) or "none"


def results_json(results: Sequence[Result]) -> str:
    """All results for programs: one object."""
    counts = Counter(result.outcome for result in results)
    return json.dumps(
        {
            "records": [
                {
                    "position": str(result.position) if result.position else None,
                    "outcome": result.outcome.value,
                    "replayed_as": str(result.replayed_as) if result.replayed_as else None,
                    "reason_code": result.reason_code,
                    "message": result.message,
                    "line": result.line,
                }
                for result in results
            ],
            "summary": {outcome.value: counts[outcome] for outcome in Outcome if counts[outcome]},
            "ok": all(result.outcome in GOOD for result in results),
        },
        indent=2,
    )


def _facts(letter: DeadLetter, state: State) -> dict[str, object]:
    return {
        "position": str(letter.position),
        "failed_at": letter.failed_at.isoformat(timespec="milliseconds"),
        "reason_code": letter.reason_code,
        "message": letter.message,
        "state": state.name,
        "replayed_as": str(state.replayed_as) if state.replayed_as else None,
        "replayed_from": letter.replayed_from,
    }


def _payload(payload: Payload | None) -> Text:
    if payload is None or payload.text is None:
        return Text("none: the record has no value")
    value = payload.value() or b""
    if payload.encoding == BASE64:
        cut = f"\n... {len(value):,} bytes in all; export has them" if len(value) > _MOST_BYTES else ""
        return Text(hex_dump(value, most=_MOST_BYTES) + cut)
    lines = payload.text[:_MOST_CHARACTERS].split("\n")
    cut = f"\n... {len(value):,} bytes in all; export has them" if len(payload.text) > _MOST_CHARACTERS else ""
    return Text("\n".join(map(printable, lines)) + cut)


def _attempts(attempts: Sequence[Attempt]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("at (UTC)", "by", "outcome", "as", "SHA-256 of the payload"):
        table.add_column(name, no_wrap=True)
    for each in attempts:
        place = each.replayed_as.short if each.replayed_as else ""
        user = printable(each.user)
        table.add_row(
            f"{each.intended_at:%Y-%m-%d %H:%M:%S}", Text(user), each.outcome.value, place, each.payload_sha256
        )
    return table


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "intended_at": attempt.intended_at.isoformat(timespec="milliseconds"),
        "user": attempt.user,
        "outcome": attempt.outcome.value,
        "replayed_as": str(attempt.replayed_as) if attempt.replayed_as else None,
        "settled_at": attempt.settled_at.isoformat(timespec="milliseconds") if attempt.settled_at else None,
        "transaction_id": attempt.transaction_id,
        "payload_sha256": attempt.payload_sha256,
    }
