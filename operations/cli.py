"""`pipeline`: the command line. Each command reads its options, calls one function, and shows what it returned.

Exit codes are stable: 0 success or healthy, 1 failure, 2 wrong usage, 3 not running, 4 wrong configuration,
5 the machine lacks something, 10 unhealthy, 130 interrupted.
"""

import json
import shlex
import signal
import sys
import time
from dataclasses import asdict
from types import FrameType
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from contracts.addresses import Addresses
from contracts.errors import PipelineError
from contracts.settings import Settings, load_settings

UNHEALTHY = 10
INTERRUPTED = 130

app = typer.Typer(
    name="pipeline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Financial transactions from Kafka through Flink into Iceberg, with Dagster as the control plane.",
)  # fmt: skip
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Interrupted(BaseException):
    """Ctrl-C, or a polite request to end. Not KeyboardInterrupt, which the command-line library turns into exit code 1."""


def main() -> None:
    """The entry point: errors that a user can mend become one sentence and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        app()
    except PipelineError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except Interrupted:
        err.print("interrupted")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `pipeline query ... | head`
        sys.stderr.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _settings() -> Settings:
    return load_settings()


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is healthy.")] = False,
    generator: Annotated[bool, typer.Option(help="Send generated traffic.")] = True,
) -> None:
    """Start everything: Kafka, Flink and its two jobs, the generator, Dagster.

    In the foreground it shows a live view until Ctrl-C, which ends everything.
    """
    from operations import screen
    from operations.embedded.lifecycle import Pipeline
    from operations.jars import fetch_all, progress_bar

    settings = _settings()
    pipeline = Pipeline(settings)
    started = time.monotonic()
    with progress_bar() as bar:
        fetch_all(bar)
    running = pipeline.start(generator=generator)
    try:
        with Live(console=err, refresh_per_second=4, transient=True) as live:
            pipeline.await_healthy(lambda components: live.update(screen.starting(components, since=started)))
        verb = "already runs" if running.was_running else f"is up after {time.monotonic() - started:.0f} s"
        out.print(f"[bold green]The pipeline {verb}.[/]")
        out.print(screen.addresses(running.addresses))
        if detach:
            return
        if running.was_running:
            out.print("It was started elsewhere and is left running; end it with: pipeline down")
            return
        _watch(pipeline)
    except Interrupted:
        if not running.was_running:
            err.print("stopping; Ctrl-C again ends everything at once")
            _down(pipeline)
        raise


def _down(pipeline: Any) -> bool:
    try:
        return bool(pipeline.stop())
    except Interrupted:
        pipeline.supervisor.stop(seconds=0)
        raise


@app.command()
def down() -> None:
    """End every process. Everything written stays; `up` goes on from there."""
    from operations.embedded.lifecycle import Pipeline

    started = time.monotonic()
    if _down(Pipeline(_settings())):
        out.print(f"The pipeline is down after {time.monotonic() - started:.0f} s.")
    else:
        out.print("No pipeline was running.")


@app.command()
def status(
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
) -> None:
    """Show the health of every component, and what the tables hold. Exit code 0 healthy, 10 unhealthy, 3 not running."""
    from operations import screen
    from operations.embedded.lifecycle import Pipeline
    from operations.status import take_status

    pipeline = Pipeline(_settings())
    if watch and not as_json:
        _watch(pipeline)
        return
    found = take_status(pipeline)
    if as_json:
        print(json.dumps(asdict(found), indent=2, default=str))
    else:
        out.print(screen.status(found))
    if not found.healthy:
        raise typer.Exit(UNHEALTHY)


def _watch(pipeline: Any) -> None:
    from operations import screen
    from operations.status import take_status

    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            live.update(screen.status(take_status(pipeline)), refresh=True)
            time.sleep(2)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over transactions, dead_letters and alerts (DuckDB's SQL).")],
    output: Annotated[
        Literal["table", "csv", "json"], typer.Option("--output", "-o", help="The form of the answer.")
    ] = "table",
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 100,
) -> None:
    """Ask the tables, read-only. Works while the pipeline runs and after it was stopped."""
    from operations.query import run_query

    run_query(_addresses(), sql, output=output, limit=limit)


def _addresses() -> Addresses:
    return Addresses.read(_settings().paths.root)


@app.command()
def logs(
    component: Annotated[str | None, typer.Argument(help="One component; all by default.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each file to begin with.")] = 20,
) -> None:
    """Show the components' logs."""
    from operations.logs import show_logs

    show_logs(_settings().paths.logs, component, follow=follow, lines=lines)


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove everything the pipeline wrote: log, tables, checkpoints, history."""
    from operations.embedded.lifecycle import Pipeline

    pipeline = Pipeline(_settings())
    root = pipeline.settings.paths.root
    if not root.exists():
        out.print(f"There is nothing in {root}.")
        return
    if not yes:
        typer.confirm(f"Remove {root} with every table and log?", abort=True)
    pipeline.reset()
    out.print(f"Removed {root}.")


@app.command()
def fetch() -> None:
    """Fetch the jars, so that the machine can go offline."""
    from operations.jars import default_cache, fetch_all, progress_bar

    with progress_bar() as bar:
        count = fetch_all(bar)
    out.print(f"{count} jars fetched into {default_cache()}." if count else f"Every jar is in {default_cache()}.")


@app.command()
def env(as_json: Json = False) -> None:
    """Print the addresses as shell exports: eval "$(pipeline env)"."""
    variables = _addresses().to_environment()
    if as_json:
        print(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
