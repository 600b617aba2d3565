"""`pipeline`: the command line. Each command reads its options, calls one function, and shows what it returned.

Exit codes are stable: 0 success or healthy, 1 failure, 2 wrong usage, 3 not running, 4 wrong configuration,
5 the machine lacks something, 10 unhealthy, 130 interrupted.
"""

import json
import shlex
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from contracts.errors import ComponentFailed, MachineError, NotRunning, PipelineError
from contracts.paths import StatePaths
from operations import cli_dead_letters, cli_doctor, cli_lineage, cli_rules, cli_state
from operations.signals import Interrupted, raise_interrupted

# Everything else is imported by the command that needs it: Kafka, Iceberg and DuckDB take seconds, `pipeline env` none.
if TYPE_CHECKING:
    from contracts.addresses import Addresses
    from contracts.settings import Settings
    from operations.embedded.lifecycle import Pipeline

UNHEALTHY = 10
INTERRUPTED = 130

app = typer.Typer(
    name="pipeline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Financial transactions from Kafka through Flink into Iceberg, with Dagster as the control plane.",
)  # fmt: skip
app.add_typer(cli_rules.app, name="rules")
app.add_typer(cli_dead_letters.app, name="dead-letters")
app.command()(cli_doctor.doctor)
for command in (cli_state.reset, cli_state.repair, cli_state.skip):
    app.command()(command)
app.command()(cli_lineage.trace)
app.command()(cli_lineage.explain)
app.command()(cli_lineage.sessions)
err = Console(stderr=True)

# Where more stands than an error can say, by the command that met it.
_PAGE = "docs/operations.md"
_PAGES = {
    "dead-letters": "docs/dead-letters.md",
    "rules": "docs/rules.md",
    **dict.fromkeys(("trace", "explain", "sessions"), "docs/lineage.md"),
    **dict.fromkeys(("prepare", "run"), "docs/deployment.md"),
}

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """The entry point: errors that a user can mend become one sentence and an exit code."""
    try:
        raise_interrupted()
        app()
    except PipelineError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        err.print(f"[dim]more:[/] {error.page or _PAGES.get(''.join(sys.argv[1:2]), _PAGE)}", soft_wrap=True)
        sys.exit(error.exit_code)
    except Interrupted:
        with suppress(OSError):  # the terminal itself may be gone
            err.print("interrupted")
        sys.exit(INTERRUPTED)


def _settings() -> "Settings":
    from contracts.settings import load_settings

    return load_settings()


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything is healthy.")] = False,
    generator: Annotated[bool, typer.Option(help="Send generated traffic.")] = True,
    keep_rules: Annotated[
        bool, typer.Option("--keep-rules", help="Leave the rules in force as they are, whatever the rule file says.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only-web", help="Dagster's web page shows everything and can start nothing.")
    ] = False,
) -> None:
    """Start everything: Kafka, Flink and its two jobs, the generator, Dagster.

    In the foreground it shows a live view until Ctrl-C, which ends everything.
    """
    from operations import screen
    from operations.audit import audited
    from operations.embedded.lifecycle import Pipeline
    from operations.jars import progress_bar
    from operations.terminal import console

    out = console()
    settings = _settings()
    if read_only:
        settings = settings.model_copy(update={"dagster": settings.dagster.model_copy(update={"read_only": True})})
    pipeline = Pipeline(settings)
    started, left_running = time.monotonic(), False
    try:
        with audited(settings.paths, "up", generator=generator, keep_rules=keep_rules, detach=detach):
            with progress_bar() as bar:
                running = pipeline.start(generator=generator, keep_rules=keep_rules, progress=bar)
            with Live(console=err, refresh_per_second=4, transient=True) as live:
                pipeline.await_healthy(lambda components: live.update(screen.starting(components, since=started)))
        left_running = detach
        verb = "already runs" if running.was_running else f"is up after {time.monotonic() - started:.0f} s"
        out.print(f"[bold green]The pipeline {verb}.[/]")
        out.print(screen.addresses(running.addresses))
        if running.was_running and not detach:
            out.print("It was started elsewhere and is left running; end it with: pipeline down")
        elif not detach:
            _watch(pipeline)
    except ComponentFailed:
        raise  # what did start is left for a look at its logs
    except BaseException as reason:  # also a terminal that is gone, and whatever else: a foreground leaves nothing
        if pipeline.started and not left_running:
            if isinstance(reason, Interrupted):
                with suppress(OSError):
                    err.print("stopping; Ctrl-C again ends everything at once")
            with audited(settings.paths, "down", reason="the foreground ended"):
                pipeline.stop(_warn)
        raise


@app.command()
def down() -> None:
    """End every process. Everything written stays; `up` goes on from there."""
    from operations.audit import audited
    from operations.embedded.lifecycle import Pipeline
    from operations.terminal import console

    started, settings = time.monotonic(), _settings()
    with audited(settings.paths, "down"):
        ended = Pipeline(settings).stop(_warn)
    if ended:
        console().print(f"The pipeline is down after {time.monotonic() - started:.0f} s.")
    else:
        console().print("No pipeline was running.")


def _warn(sentence: str) -> None:
    err.print(f"[bold yellow]warning:[/] {escape(sentence)}.", soft_wrap=True)


@app.command()
def status(
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until Ctrl-C.")] = False,
) -> None:
    """Show the health of every component, and what the tables hold.

    Exit code 0: healthy, 10: unhealthy, 3: not running.
    """
    from operations import screen
    from operations.embedded.lifecycle import Pipeline
    from operations.status import take_status
    from operations.terminal import console

    pipeline = Pipeline(_settings())
    if watch and not as_json:
        _watch(pipeline)
        return
    found = take_status(pipeline)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        console().print(screen.status(found))
    if not found.healthy:
        raise typer.Exit(UNHEALTHY)


def _watch(pipeline: "Pipeline") -> None:
    """Shows the status again and again. Raises NotRunning where there is nothing to show, or no longer."""
    from operations import screen
    from operations.status import take_status
    from operations.terminal import console

    out = console()
    found = take_status(pipeline)
    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            live.update(screen.status(found), refresh=True)
            time.sleep(2)
            try:
                found = take_status(pipeline)
            except NotRunning:
                raise NotRunning("the pipeline was ended from elsewhere. Start it again: pipeline up") from None


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the tables that SHOW TABLES lists (DuckDB's SQL).")],
    output: Annotated[
        Literal["table", "csv", "json"], typer.Option("--output", "-o", help="The form of the answer.")
    ] = "table",
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 100,
) -> None:
    """Ask the tables, read-only. Works while the pipeline runs and after it was stopped."""
    from operations.query import run_query

    run_query(_addresses(), sql, output=output, limit=limit)


def _addresses() -> "Addresses":
    from contracts.addresses import Addresses

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
def fetch(s3: Annotated[bool, typer.Option("--s3", help="Also those for tables in a bucket.")] = False) -> None:
    """Fetch the jars, so that the machine can go offline."""
    from operations.jars import default_cache, fetch_all, progress_bar
    from operations.terminal import console

    with progress_bar() as bar:
        count = fetch_all(bar, s3=s3 or bool(_settings().lake.warehouse))
    cache = escape(str(default_cache()))
    console().print(f"{count} jars fetched into {cache}." if count else f"Every jar is in {cache}.")


@app.command()
def metrics(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 9464,
) -> None:
    """Serve the status as Prometheus metrics, on this machine alone, until Ctrl-C."""
    from operations.embedded.lifecycle import Pipeline
    from operations.metrics import serving
    from operations.terminal import console

    settings = _settings()
    with ExitStack() as stack:
        try:
            chosen = stack.enter_context(serving(Pipeline(settings), port, settings.listen))
        except OSError as error:
            raise MachineError(f"port {port} cannot be used: {error.strerror}. Choose another one: --port 0") from error
        console().print(f"Metrics at http://{settings.listen}:{chosen}/metrics; Ctrl-C ends it.")
        signal.pause()


@app.command()
def prepare() -> None:
    """Make the tables and write the configuration, before containers run the components.

    Where the pipeline runs already, it changes nothing.
    """
    from operations.audit import audited
    from operations.containers import prepare as make_ready
    from operations.terminal import console

    settings = _settings()
    with audited(settings.paths, "prepare"):
        session = make_ready(settings)
    console().print(f"Ready for session {session}.")


@app.command()
def run(component: Annotated[str, typer.Argument(help="The component, as `pipeline status` names it.")]) -> None:
    """Become one component, in the foreground: what a container does."""
    from operations.containers import become

    become(_settings(), component)


@app.command()
def env(as_json: Json = False) -> None:
    """Print the addresses as shell exports: eval "$(pipeline env)"."""
    addresses = _addresses()
    # With it, what `dagster asset materialize` does is recorded where the web UI shows it.
    home = StatePaths(Path(addresses.pipeline_state)).dagster
    variables = {**addresses.to_environment(), "DAGSTER_HOME": str(home)}
    if as_json:
        typer.echo(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
