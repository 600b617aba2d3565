"""Shows the components' log files. Reading them belongs here; writing and rotating them is the supervisor's."""

import sys
import time
from collections import deque
from pathlib import Path

from contracts.errors import NotRunning, PipelineError

_LOOK_SECONDS = 0.3


def show_logs(folder: Path, component: str | None, *, follow: bool, lines: int) -> None:
    """Prints the last `lines` lines of the logs in `folder`, and with `follow` what is appended until interrupted.

    Raises NotRunning where there are no logs, PipelineError for a component without one.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if not files:
        raise NotRunning(f"there are no logs in {folder}. Start a pipeline: pipeline up")
    if component is not None:
        if component not in files:
            raise PipelineError(f"no log of {component!r}; there are {', '.join(files)}")
        files = {component: files[component]}
    positions = {name: _print_tail(name, path, lines, named=len(files) > 1) for name, path in files.items()}
    while follow:
        for name, path in files.items():
            positions[name] = _print_new(name, path, positions[name], named=len(files) > 1)
        time.sleep(_LOOK_SECONDS)


def _print_tail(name: str, path: Path, lines: int, *, named: bool) -> int:
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=lines):
            _print(name, line, named=named)
        return file.tell()


def _print_new(name: str, path: Path, position: int, *, named: bool) -> int:
    try:
        if path.stat().st_size < position:
            position = 0  # it was rotated
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(position)
            for line in file:
                _print(name, line, named=named)
            return file.tell()
    except FileNotFoundError:
        return 0  # between the two steps of a rotation


def _print(name: str, line: str, *, named: bool) -> None:
    sys.stdout.write(f"{name} | {line}" if named else line)
    sys.stdout.flush()
