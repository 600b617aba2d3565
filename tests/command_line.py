"""`pipeline`, called in this process: its exit code, and what it says."""

import io
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from operations.cli import main


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@contextmanager
def pipeline_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> Iterator[Call]:
    """Calls `pipeline` with `words` and the arguments given each time, `stdin` on its standard input."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: str, stdin: bytes = b"") -> Answer:
        monkeypatch.setattr(sys, "argv", ["pipeline", *words, *arguments])
        with tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
            with pytest.raises(SystemExit) as end:
                main()
        code = end.value.code
        return Answer(code if isinstance(code, int) else 0, *capsys.readouterr())

    try:
        yield run
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
