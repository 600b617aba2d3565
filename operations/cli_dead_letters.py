"""`pipeline dead-letters`: the command line over `operations/dead_letters`. Options in, text out, nothing decided."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

# As in `operations/cli.py`: Kafka, Iceberg and DuckDB are imported by the command that needs them.
if TYPE_CHECKING:
    from contracts.addresses import Addresses
    from contracts.positions import Position
    from operations.dead_letters.reading import Chosen
    from operations.dead_letters.repairs import Repair, Unreadable
    from operations.dead_letters.replay import Result

app = typer.Typer(no_args_is_help=True, help="Look at refused records, repair them and send them again, each once.")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FEW = 20

At = Annotated[str, typer.Argument(metavar="POSITION", help="partition/offset, or topic/partition/offset.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only those refused for this reason.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="1h|TIME", help="Only those refused since: 30m, 1h, 2d or ISO 8601.")
]
Open = Annotated[bool, typer.Option("--open", help="Only those that were not replayed yet.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    reason: Reason = None,
    since: Since = None,
    only_open: Open = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """Show refused records, the newest first, and how many there are by reason."""
    from operations.dead_letters import commands, showing
    from operations.terminal import console

    letters, by_reason = commands.list_letters(_addresses(), _chosen(reason, since), limit=limit, only_open=only_open)
    if as_json:
        typer.echo(showing.listing_json(letters, by_reason))
    else:
        console().print(showing.listing(letters, by_reason))


@app.command()
def show(position: At, as_json: Json = False) -> None:
    """Show everything about one refused record."""
    from operations.dead_letters import commands, showing
    from operations.terminal import console

    letter, state, attempts = commands.show_letter(_addresses(), _position(position))
    if as_json:
        typer.echo(showing.one_json(letter, state, attempts))
    else:
        console().print(showing.one(letter, state, attempts))


@app.command()
def export(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE|-", help="Where to; - is standard output.")],
    reason: Reason = None,
    since: Since = None,
    only_open: Open = False,
    as_json: Json = False,
) -> None:
    """Write refused records with their exact bytes, one JSON object a line, to be repaired and replayed."""
    from operations.dead_letters import commands

    addresses, chosen = _addresses(), _chosen(reason, since)
    if output == "-":
        commands.export_letters(addresses, chosen, sys.stdout.buffer, only_open=only_open)
        return
    path = Path(output)
    with _replacing(path) as file:
        count = commands.export_letters(addresses, chosen, file, only_open=only_open)
    if as_json:
        import json

        typer.echo(json.dumps({"file": str(path), "dead_letters": count}))
    else:
        typer.echo(f"{count:,} dead letter{'' if count == 1 else 's'} in {path}")


@app.command()
def replay(
    position: Annotated[
        str | None, typer.Argument(metavar="POSITION", help="partition/offset, or topic/partition/offset.")
    ] = None,
    payload: Annotated[
        str | None, typer.Option("--payload", metavar="FILE|-", help="The whole repaired record; - is standard input.")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field of it; may be repeated.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE|-", help="Repaired lines of an export; - is standard input.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and look up; send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send repaired records to the raw topic, each once however often this is called.

    Exit code 0: every record is there now, or was before; 1: some are not, each with its reason.
    """
    if (position is None) == (file is None):
        raise typer.BadParameter("give either a position or --file")
    if position is None and (payload or fields):
        raise typer.BadParameter("--payload and --set repair the record at one position, and none is given")
    if position is not None and bool(payload) == bool(fields):
        raise typer.BadParameter("give the repaired record with --payload, or fields of it with --set")
    place = _position(position) if position else None
    from operations.dead_letters.commands import replay as replayed
    from operations.dead_letters.repairs import read_lines

    addresses = _addresses()
    recorded = nullcontext() if dry_run else _audited(addresses, what=f"{place or file}")
    with recorded:
        if file is not None:
            with _opened(file) as lines:
                results = list(_counted(replayed(addresses, read_lines(lines), dry_run=dry_run)))
        else:
            assert place is not None
            results = list(replayed(addresses, [_repair(addresses, place, payload, fields or [])], dry_run=dry_run))
    _tell(results, as_json=as_json, many=file is not None)


def _audited(addresses: "Addresses", **details: object) -> AbstractContextManager[None]:
    from contracts.paths import StatePaths
    from operations.audit import audited

    return audited(StatePaths(Path(addresses.pipeline_state)), "dead-letters replay", **details)


def _tell(results: "list[Result]", *, as_json: bool, many: bool) -> None:
    from operations.dead_letters.replay import GOOD
    from operations.dead_letters.showing import results_json, sentence, summary

    wrong = [result for result in results if result.outcome not in GOOD]
    if as_json:
        typer.echo(results_json(results))
    else:
        for result in results if len(results) <= _FEW else wrong:
            typer.echo(sentence(result), err=result in wrong)
        if many:
            typer.echo(f"{len(results):,} record{'' if len(results) == 1 else 's'}: {summary(results)}")
    if wrong:
        raise typer.Exit(1)


def _repair(
    addresses: "Addresses", position: "Position", payload: str | None, assignments: list[str]
) -> "Repair | Unreadable":
    from contracts.errors import PipelineError
    from operations.dead_letters.commands import payload_at
    from operations.dead_letters.payloads import NotRepairable, with_fields
    from operations.dead_letters.repairs import judge

    if payload is not None:
        with _opened(payload) as given:
            return judge(position, given.read())
    wanted = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise typer.BadParameter(f"--set {assignment}: write FIELD=VALUE")
        wanted[name] = value
    try:
        return judge(position, with_fields(payload_at(addresses, position), wanted))
    except KeyError as error:
        from contracts.schema import load_contract

        known = ", ".join(field.name for field in load_contract("transaction").fields)
        raise typer.BadParameter(f"--set: a transaction has no field {error.args[0]!r}; it has {known}") from None
    except NotRepairable as error:
        raise PipelineError(f"{position.short}: {error}") from None


def _addresses() -> "Addresses":
    from contracts.addresses import Addresses
    from contracts.settings import load_settings

    return Addresses.read(load_settings().paths.root)


def _position(text: str) -> "Position":
    from contracts.positions import Position

    try:
        return Position.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _chosen(reason: str | None, since: str | None) -> "Chosen":
    from contracts.schema import load_contract
    from operations.dead_letters.reading import Chosen

    known = load_contract("dead-letter").field("reason_code").rules["enum"]
    if reason is not None and reason not in known:
        raise typer.BadParameter(f"no such reason: {reason}; there are {', '.join(known)}")
    return Chosen(reason, _moment(since, datetime.now(UTC)) if since else None)


def _moment(text: str, now: datetime) -> datetime:
    if found := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"--since {text}: write 30m, 1h, 2d, or a time as 2026-11-22T10:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        with nullcontext(sys.stdin.buffer) if path == "-" else open(path, "rb") as file:
            yield file
    except OSError as error:
        from contracts.errors import PipelineError

        raise PipelineError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that is at `path` in whole or not at all, for its owner's eyes: payloads are people's payments."""
    from contracts.errors import PipelineError

    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.touch(mode=0o600)
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise PipelineError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _counted(results: "Iterable[Result]") -> "Iterator[Result]":
    """The results, while a terminal shows how many there are so far."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("replaying"), MofNCompleteColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("", total=None)
        for result in results:
            progress.advance(task)
            yield result
