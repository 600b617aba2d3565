"""`python -m generator`: the command line. Reads options and configuration, connects the parts, runs them."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import structlog
import typer

from contracts import names
from contracts.errors import PipelineError
from contracts.logs import configure_logs
from contracts.settings import load_settings
from generator.config import load_config
from generator.ledger import Ledger
from generator.pace import pace_of
from generator.publisher import Publisher, producer_settings
from generator.run import Run, Stop, batch_size
from generator.traffic import Traffic

_log = structlog.get_logger()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


# A callback and not a command: further commands can join, and without one the traffic runs.
@app.callback(invoke_without_command=True)
def generate(
    bootstrap_servers: Annotated[
        str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", metavar="HOST:PORT", help="The Kafka brokers.")
    ] = "127.0.0.1:9092",
    rate: Annotated[float | None, typer.Option(help="Records a second; 0: as fast as possible.")] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Stop after this many records.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Repeat the run that logged this seed.")] = None,
    config: Annotated[Path | None, typer.Option(help="Instead of config/generator.yaml.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="The ledger's folder, instead of the state folder's.")] = None,
) -> None:
    """Sends transactions to the topic transactions.raw until it is stopped."""
    configure_logs("generator")
    stop = Stop().on_signals()
    try:
        chosen = load_config(config, seed=seed, rate=rate)
        drawn_seed = secrets.randbelow(2**32) if chosen.seed is None else chosen.seed
        traffic = Traffic(chosen, seed=drawn_seed)
        book = Ledger(
            ledger or load_settings().paths.generator / "ledger",
            chosen.ledger,
            run=f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}",
            metadata={"seed": str(drawn_seed), "config": chosen.model_dump_json()},
        )
        publisher = Publisher(
            producer_settings(bootstrap_servers, rate=chosen.rate_per_second),
            names.RAW_TOPIC,
            settle=book.settle,
            stopping=stop,
        )
        _log.info(
            "started",
            seed=drawn_seed,
            rate_per_second=chosen.rate_per_second,
            accounts=len(traffic.population),
            limit=limit,
            bootstrap_servers=bootstrap_servers,
        )
        Run(
            traffic,
            publisher,
            book,
            pace_of(chosen.rate_per_second),
            stop,
            batch_size(chosen.rate_per_second),
        ).until(limit)
    except PipelineError as error:
        _log.error("failed", error=type(error).__name__, reason=str(error))
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    app()
