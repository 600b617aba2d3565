"""`pipeline rules`: the command line over `operations/rules`. Options in, text out, nothing decided."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

# As in `operations/cli.py`: what takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    from contracts.settings import Settings
    from operations.rules.commands import Check

app = typer.Typer(no_args_is_help=True, help="Check the alerting rules, put them in force, see what ran when.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _settings() -> "Settings":
    from contracts.settings import load_settings

    return load_settings()


@app.command()
def check(as_json: Json = False) -> None:
    """Validate config/alerting-rules.yaml and show what deploying it would change.

    Exit code 0: valid, 4: not.
    """
    from operations.rules.commands import check as find
    from operations.terminal import console

    found = find(_settings())
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    console().print(_shown(found))


def _shown(found: "Check") -> str:
    if not found.changes:
        return f"Valid, and what is in force: deployment {found.in_force}."
    lines = ["Valid. " + ("Nothing was ever in force." if found.in_force is None else "Deploying it would change:")]
    for change in found.changes:
        versions = " -> ".join(version for version in (change.before, change.after) if version)
        lines.append(f"  {change.what:8} {change.rule_id}  (version {versions})")
        lines += [f"           {detail}" for detail in change.details]
    if found.memory_seconds:
        lines.append(f"The last {found.memory_seconds} s of the log are read first: velocity windows start warm.")
    return "\n".join(lines)


@app.command()
def deploy(
    seconds: Annotated[float, typer.Option(min=1, help="How long to wait for the new rules to take over.")] = 120,
    as_json: Json = False,
) -> None:
    """Put config/alerting-rules.yaml in force in the running pipeline, without a gap.

    The new rules run beside the old ones until they have caught up; the lakehouse job is not touched.
    """
    from operations.audit import audited
    from operations.rules.commands import deploy as put_in_force
    from operations.terminal import console

    started, settings = time.monotonic(), _settings()
    with audited(settings.paths, "rules deploy"), Console(stderr=True).status("checking") as line:
        done = put_in_force(
            settings,
            seconds=seconds,
            watch=lambda wanted: line.update(
                f"deployment {wanted.number}: "
                + ("reads the log and catches up" if wanted.fingerprint else "waits for the job keeper")
                + f", {time.monotonic() - started:.0f} s"
            ),
        )
    if as_json:
        typer.echo(done.model_dump_json(indent=2) if done else "null")
    elif done is None:
        console().print("Nothing to deploy: these rules are in force.")
    else:
        console().print(f"Deployment {done.number} is in force after {time.monotonic() - started:.1f} s.")


def _versions(rules: dict[str, str]) -> str:
    return ", ".join(f"{rule_id} {version}" for rule_id, version in rules.items())


@app.command()
def history(as_json: Json = False) -> None:
    """Show which rules ran when, the newest first."""
    from rich.table import Table

    from operations.terminal import console
    from streaming.deployments import Deployments

    found = Deployments(_settings().paths.rules).all()[::-1]
    if as_json:
        typer.echo(json.dumps([{**one.model_dump(mode="json"), "state": one.state} for one in found], indent=2))
        return
    table = Table("", "state", "in force (UTC)", "until (UTC)", "why", "rules", box=None, pad_edge=False)
    for one in found:
        times = [f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-" for moment in (one.in_force_at, one.ended_at)]
        why = one.failure or one.reason
        table.add_row(str(one.number), one.state, *times, why, _versions(one.rules))
    console().print(table)
