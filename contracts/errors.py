"""The one exception tree: a broken world, as opposed to bad data (bad data is a value, see dead letters).

PipelineError
├── ConfigError            a configuration file or variable is wrong
├── MachineError      the machine lacks something
│   ├── JavaMissing        no usable Java runtime
│   ├── PortTaken          a port is in use by somebody else
│   └── JarError           a jar cannot be had, or is not the one that was pinned
├── NotRunning             a command needs a running pipeline and there is none
│   └── NoLedger           no traffic generator has written a ledger
├── ComponentFailed        a process or a Flink job did not become healthy
├── TableDamaged           a file of the tables or of their catalog is missing, cut short or unreadable
├── QueryError             a query was refused or failed
└── CheckError             a data check could not be carried out

Every message says what happened, with which values, and what to do next. `exit_code` is what the
command line returns for it and is stable; `page` is where more stands, None where that depends on the command.
"""

import re
from pathlib import Path
from typing import ClassVar

# Where more stands on a configuration file.
_PAGES = {
    "alerting-rules.yaml": "docs/rules.md",
    "generator.yaml": "docs/generator.md",
    "quality.yaml": "docs/quality.md",
    "transaction.schema.json": "docs/dead-letters.md",
}
# Parts that run elsewhere, and containers.
_OF_DEPLOYMENT = re.compile(
    r"kafka\.(bootstrap_servers|security_protocol|sasl_mechanism|username|ca_file)|environment variable KAFKA_|lake\."
    r"|dagster\.(storage|host|code_host)|flink\.rest_url|supervised"
)


class PipelineError(Exception):
    """Base of every error that a user may meet."""

    exit_code: ClassVar[int] = 1
    page: str | None = None


class ConfigError(PipelineError):
    """A configuration value cannot be used.

    `source` is the file or the environment variable, `line` the line in the file (1-based) where
    known, `path` the dotted path of the value, `reason` what is wrong with it.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, source: Path | str, reason: str, *, path: str = "", line: int | None = None) -> None:
        self.source, self.reason, self.path, self.line = source, reason, path, line
        deployed = _OF_DEPLOYMENT.match(path or str(source))
        self.page = "docs/deployment.md" if deployed else _PAGES.get(Path(source).name)
        place = f"{source}:{line}" if line is not None else f"{source}"
        super().__init__(f"{place}: {path}: {reason}" if path else f"{place}: {reason}")


class MachineError(PipelineError):
    """The machine lacks something that the pipeline needs."""

    exit_code: ClassVar[int] = 5


class JavaMissing(MachineError):
    """No Java runtime of a supported version was found."""


class PortTaken(MachineError):
    """A configured port is in use by another program."""

    def __init__(self, *, port: int, purpose: str, variable: str, holder: str | None) -> None:
        self.port, self.purpose, self.variable, self.holder = port, purpose, variable, holder
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"port {port} ({purpose}) is in use{by}. Stop that program, or choose another port: "
            f"{variable}=0 pipeline up (0 takes any free one)."
        )


class JarError(MachineError):
    """A jar cannot be fetched, or its checksum is not the pinned one."""


class NotRunning(PipelineError):
    """The command needs a running pipeline."""

    exit_code: ClassVar[int] = 3


class NoLedger(NotRunning):
    """The command needs the ledger of a traffic generator."""

    page = "docs/generator.md"


class ComponentFailed(PipelineError):
    """A process or a Flink job ended, or did not become ready in time."""


class TableDamaged(PipelineError):
    """A file of the tables or of their catalog is missing, cut short or unreadable; `location` is its path or URI."""

    page = "docs/operations.md"

    def __init__(self, message: str, *, location: str = "") -> None:
        self.location = location
        super().__init__(message)


class QueryError(PipelineError):
    """A query was refused or failed."""


class CheckError(PipelineError):
    """A data check could not be carried out, so nothing is known about the data."""

    page = "docs/quality.md"
