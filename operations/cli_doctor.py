"""`pipeline doctor`: the command line over `operations/doctor.py`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

_MARKS = {"good": "[green]●[/]", "doubtful": "[yellow]○[/]", "bad": "[red]✖[/]"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look whether this machine can run the pipeline, and say what to do where it cannot.

    Exit code 0: it can, 4: a configuration is wrong, 5: the machine lacks something, 1: a job cannot go on.
    """
    from contracts.settings import load_settings
    from operations.doctor import Machine, examine
    from operations.terminal import console

    settings = load_settings()
    findings = examine(settings, Machine.this(settings.paths.root))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            console().print(f"{_MARKS[finding.verdict]} {finding.what:14} {escape(finding.said)}", soft_wrap=True)
    raise typer.Exit(next((finding.exit_code for finding in findings if finding.exit_code), 0))
