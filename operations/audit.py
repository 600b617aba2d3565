"""The audit log: who did what to a pipeline, when, and how it ended, a JSON line an action in `<state>/logs/audit.log`.

Every command that changes something is recorded; those that only look are not. `pipeline logs audit` shows it, and
`pipeline reset` removes it with everything else.
"""

import getpass
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from contracts.errors import PipelineError
from contracts.paths import StatePaths

NAME = "audit"


def operator() -> str:
    """The user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return f"uid {os.getuid()}"


@contextmanager
def audited(paths: StatePaths, action: str, **details: object) -> Iterator[None]:
    """Records the block as `action` with its `details` when it ends: done, refused with the reason, or broken off.

    Where there is no state folder, or one of something else, nothing was done that could be recorded in it.
    """
    begun_at, begun = datetime.now(UTC), time.monotonic()
    outcome = "broken off"
    try:
        yield
        outcome = "done"
    except PipelineError as error:
        outcome = f"failed: {error}"
        raise
    finally:
        if paths.run.is_dir():
            entry = {
                "timestamp": begun_at.isoformat(timespec="milliseconds"),
                "component": NAME,
                "operator": operator(),
                "action": action,
                **details,
                "outcome": outcome,
                "seconds": round(time.monotonic() - begun, 1),
            }
            _append(paths, json.dumps(entry))


def _append(paths: StatePaths, line: str) -> None:
    paths.logs.mkdir(mode=0o700, exist_ok=True)
    # In one write, so that lines of two commands never mix.
    file = os.open(paths.logs / f"{NAME}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
