"""Shows the components' log files. Reading them belongs here; writing and rotating them is the supervisor's."""

import os
import sys
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contracts.errors import NotRunning, PipelineError

_LOOK_SECONDS = 0.3


def show_logs(folder: Path, component: str | None, *, follow: bool, lines: int) -> None:
    """Prints the last `lines` lines of the logs in `folder`, and with `follow` what is appended until interrupted.

    Raises NotRunning where there are no logs, PipelineError for a component without one.
    """
    files = _files(folder)
    if not files:
        raise NotRunning(f"there are no logs in {folder}. Start a pipeline: pipeline up")
    if component is not None and component not in files:
        raise PipelineError(f"no log of {component!r}; there are {', '.join(files)}")
    with ExitStack() as stack:
        shown = {
            name: _Log.open(stack, path, label="" if component else f"{name} | ")
            for name, path in files.items()
            if component in (None, name)
        }
        for log in shown.values():
            log.print_tail(lines)
        while follow:
            time.sleep(_LOOK_SECONDS)
            if component is None:  # a log that has begun since is shown from its start
                for name, path in _files(folder).items():
                    if name not in shown:
                        shown[name] = _Log.open(stack, path, label=f"{name} | ")
            for log in shown.values():
                log.print_new()


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.log"))}


@dataclass
class _Log:
    """One open log file, read so far. What was written before a rotation is read to its end before the new file."""

    path: Path
    label: str
    stack: ExitStack
    file: IO[str]
    begun: str = ""  # of a line whose end is not written yet

    @classmethod
    def open(cls, stack: ExitStack, path: Path, *, label: str) -> "_Log":
        return cls(path, label, stack, stack.enter_context(path.open(encoding="utf-8", errors="replace")))

    def print_tail(self, lines: int) -> None:
        last = deque(self.file, maxlen=lines)
        if last and not last[-1].endswith("\n"):
            self.begun = last.pop()
        for line in last:
            self._print(line)

    def print_new(self) -> None:
        self._print_rest()
        try:
            rotated = not os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        except FileNotFoundError:
            return  # between the two steps of a rotation
        if rotated:
            self._print_rest()
            self.file.close()
            self.file = self.stack.enter_context(self.path.open(encoding="utf-8", errors="replace"))
            self._print_rest()

    def _print_rest(self) -> None:
        for piece in self.file:
            self.begun += piece
            if self.begun.endswith("\n"):
                self._print(self.begun)
                self.begun = ""

    def _print(self, line: str) -> None:
        sys.stdout.write(self.label + line)
        sys.stdout.flush()
