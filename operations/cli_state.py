"""`pipeline reset`, `repair` and `skip`: the command line of what changes a state folder. Options in, text out."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

# As in `operations/cli.py`: what takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    from contracts.settings import Settings


def _settings() -> "Settings":
    from contracts.settings import load_settings

    return load_settings()


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    keep_tables: Annotated[
        bool,
        typer.Option("--keep-tables", help="Keep the tables, in a namespace of their own, and begin with empty ones."),
    ] = False,
) -> None:
    """Remove everything the pipeline wrote: log, tables, checkpoints, history."""
    from operations.audit import audited
    from operations.embedded.lifecycle import Pipeline
    from operations.terminal import console

    pipeline = Pipeline(_settings())
    root = pipeline.settings.paths.root
    if not pipeline.is_removable():
        console().print(f"There is nothing in {escape(str(root))}.")
        return
    what = "log, checkpoint and run, and set its tables aside" if keep_tables else "table and log"
    if not yes:
        typer.confirm(f"Remove {root} with every {what}?", abort=True)
    if keep_tables:
        with audited(pipeline.settings.paths, "reset", keep_tables=True):
            namespace = pipeline.set_tables_aside()
        console().print(f"The tables are kept in the namespace {namespace}; the next start makes empty ones.")
        return
    pipeline.reset()
    console().print(f"Removed {escape(str(root))}.")


def repair() -> None:
    """Make a state folder usable again that was damaged while it was down; what was damaged is moved aside."""
    from operations.audit import audited
    from operations.embedded.lifecycle import Pipeline
    from operations.terminal import console

    settings = _settings()
    with audited(settings.paths, "repair"):
        done = Pipeline(settings).repair()
    for sentence in done or ("nothing that can be mended is damaged",):
        console().print(f"{escape(sentence)}.", soft_wrap=True)


def skip(
    position: Annotated[str, typer.Argument(help="The last record to pass over: partition/offset.")],
    why: Annotated[str, typer.Option("--why", help="The reason, which the dead letters and the audit log keep.")],
) -> None:
    """Go on after a record that cannot be read or stored; what Kafka has of it is kept as a dead letter."""
    from operations.audit import audited, operator
    from operations.skipping import skip_to
    from operations.terminal import console

    settings = _settings()
    with audited(settings.paths, "skip", position=position, why=why):
        ended = skip_to(settings, position, why=why, operator=operator())
    who = f"{' and '.join(ended)} {'go' if len(ended) > 1 else 'goes'} on" if ended else "the jobs go on"
    when = "now" if ended else "when the pipeline is next started"
    console().print(f"{who} after {escape(position)} {when}. See: pipeline status")
