"""An operation to disturb: what it does to a folder, how that is prepared, and what a user sees of it."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Of each thing that a user can look at, what is there.
Seen = Mapping[str, object]


def _nothing(_: object) -> object:
    return None


@dataclass(frozen=True)
class Operation:
    """`run` changes what `prepare` has put into a folder.

    However it is disturbed, each thing that `look` shows is as it was before or as it is afterwards, and `promise`
    holds; when it has run once more, all is as after an undisturbed run, what `rest` returns included.
    """

    name: str
    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    look: Callable[[Path], Seen]
    rest: Callable[[Path], object] = _nothing
    promise: Callable[[Seen], object] = _nothing


@dataclass(frozen=True)
class Stage:
    """A folder that an operation is tried on again and again, in one place since Iceberg's files name their paths."""

    operation: Operation
    folder: Path

    def prepare(self) -> None:
        """Make what the operation begins with, and keep a copy of it."""
        self.folder.mkdir()
        self.operation.prepare(self.folder)
        shutil.copytree(self.folder, self._kept, symlinks=True)

    def begin_again(self) -> None:
        """Bring back what was there before the operation."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._kept, self.folder, symlinks=True)

    def fingerprint(self) -> str:
        """Return a hash of each file that is there, with its name."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            digest.update(f"{path} {len(content)} ".encode() + content)
        return digest.hexdigest()

    def run(self) -> None:
        """Carry out the operation."""
        self.operation.run(self.folder)

    @property
    def _kept(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.kept")
