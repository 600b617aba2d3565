"""`python -m generator`: the command line."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from contracts.errors import PipelineError
from contracts.kafka_access import KafkaAccess
from contracts.logs import configure_logs
from contracts.settings import load_settings
from generator.assembly import order_of, send_traffic
from generator.config import config_path, load_config
from generator.population import Shard
from generator.processes import run_shards, shard_of
from generator.reload import ConfigWatch

_log = structlog.get_logger()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Ledger_ = Annotated[Path | None, typer.Option(help="The ledger's folder, instead of the state folder's.")]


# A callback and not a command: further commands can join, and without one the traffic runs.
@app.callback(invoke_without_command=True)
def generate(
    context: typer.Context,
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", metavar="HOST:PORT", help="The Kafka brokers.")
    ] = "127.0.0.1:9092",
    rate: Annotated[float | None, typer.Option(help="Records a second; 0: as fast as possible.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this many records.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat the run that logged this seed.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Simulate time from here on: 2026-11-01T00:00:00Z.")
    ] = None,
    backfill: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Write so much history, 30d or 12h, as fast as possible, and end."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Share the work among so many processes.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Instead of config/generator.yaml.")] = None,
    ledger: Ledger_ = None,
    health: Annotated[Path | None, typer.Option(help="The health file, instead of the state folder's.")] = None,
    shard: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Sends transactions to the topic transactions.raw until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    configure_logs("generator")
    try:
        watch = ConfigWatch(config or config_path(), partial(load_config, config, seed=seed, rate=rate))
        order = order_of(watch.current, start=start, backfill=backfill, limit=limit)
        if processes > 1:
            raise typer.Exit(run_shards(processes, [*sys.argv[1:], *order.repeated(), "--processes", "1"]))
        paths = load_settings().paths
        send_traffic(
            order,
            watch,
            shard=shard_of(shard) if shard else Shard(),
            kafka=KafkaAccess.from_environment(bootstrap_servers),
            ledger=ledger or paths.generator / "ledger",
            health=health or paths.generator_health,
        )
    except PipelineError as error:
        _log.error("failed", error=type(error).__name__, reason=str(error))
        raise typer.Exit(error.exit_code) from error


@app.command()
def score(
    ledger: Ledger_ = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
) -> None:
    """Compares alerts, tables and dead letters with what was sent. Exit code 1 where a record was lost, doubled or
    judged otherwise than it should be.
    """
    # With the command, not with the module: DuckDB and PyIceberg take 2 s and 100 MB, and traffic needs neither.
    from quality.score_table import run_score

    try:
        clean = run_score(ledger, as_json).clean
    except PipelineError as error:
        typer.echo(f"error: {error}\nmore: {error.page or 'docs/generator.md'}", err=True)
        raise typer.Exit(error.exit_code) from error
    raise typer.Exit(0 if clean else 1)


@app.command()
def describe(
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the draws; by default the configured one, else 1.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of config/generator.yaml.")] = None,
    days: Annotated[float, typer.Option(min=0.01, max=366, help="How much simulated time.")] = 1.0,
    records: Annotated[int | None, typer.Option(min=100, help="Stop after this many records.")] = None,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Where the simulated time begins.")
    ] = "2026-11-04T00:00:00Z",
    output: Annotated[Path | None, typer.Option(help="The plots' folder, instead of the state folder's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Compares what is drawn with what is configured, without a broker; ends with 1 where a comparison deviates."""
    configure_logs("generator")
    try:
        # Here: scipy and matplotlib take seconds to load, which the traffic must not pay.
        from generator.describe import command

        holds = command.describe(
            seed=seed, config=config, days=days, records=records, start=start, output=output, as_json=as_json
        )
    except PipelineError as error:
        _log.error("failed", error=type(error).__name__, reason=str(error))
        raise typer.Exit(error.exit_code) from error
    raise typer.Exit(0 if holds else 1)


if __name__ == "__main__":
    app()
