"""The jars: which ones (`config/jars.yaml`), and where they lie once fetched. Downloading one: `operations/maven.py`.

The cache is shared by every pipeline of a user: `PIPELINE_CACHE`, else the user's cache folder. A jar lies in a folder
named by its checksum and gets there only by a rename after the checksum was verified: what is there is right, whatever
was interrupted. Nothing here touches the network while nothing is missing.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache as cached
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from contracts import paths
from contracts.errors import JarError
from contracts.yaml_files import load_yaml

if TYPE_CHECKING:
    from operations.maven import Advance

SetName = Literal["flink", "s3", "hadoop", "kafka"]

FILE = paths.PROJECT / "config" / "jars.yaml"
# Another process may be fetching all of them (150 MB) over a slow line.
_LOCK_SECONDS = 900


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JarSet(_Model):
    """What belongs on one class path: `coordinates` (`group:artifact:version`), and whether theirs come with them."""

    transitive: bool
    coordinates: tuple[str, ...]


class Pin(_Model):
    """One resolved jar: its coordinate, size in bytes and SHA-256 (hex)."""

    jar: str
    bytes: int
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def filename(self) -> str:
        """`artifact-version.jar`, as repositories name it."""
        _, artifact, version = self.jar.split(":")
        return f"{artifact}-{version}.jar"

    def path(self, cache: Path) -> Path:
        """Where it lies in `cache` once fetched."""
        return cache / self.sha256[:16] / self.filename


class JarFile(_Model):
    """The whole of `config/jars.yaml`."""

    sets: dict[SetName, JarSet]
    pins: dict[SetName, tuple[Pin, ...]]


def flink_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """For the user class path of the Flink jobs. Fetches what is missing; raises JarError."""
    return _class_path("flink", cache)


def s3_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """Beside those, where the warehouse is a bucket. Fetches what is missing; raises JarError."""
    return _class_path("s3", cache)


def hadoop_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """For `HADOOP_CLASSPATH` of every Flink process. Fetches what is missing; raises JarError."""
    return _class_path("hadoop", cache)


def kafka_jars(cache: Path | None = None) -> tuple[Path, ...]:
    """For the class path of the embedded broker. Fetches what is missing; raises JarError."""
    return _class_path("kafka", cache)


def fetch_all(progress: Progress | None = None, *, s3: bool = False, cache: Path | None = None) -> int:
    """Fetches every jar that is missing, with `s3` those for a bucket too, and returns how many were.

    Shows the bytes in `progress`. Raises JarError.
    """
    return fetch(wanted_pins(s3=s3), cache or default_cache(), progress)


def wanted_pins(*, s3: bool) -> tuple[Pin, ...]:
    """Every jar that a pipeline runs on, each once; with `s3` those for a bucket too."""
    sets = [pins for name, pins in read_jars().pins.items() if s3 or name != "s3"]
    return tuple({pin.sha256: pin for pins in sets for pin in pins}.values())


def progress_bar() -> Progress:
    """A bar for `fetch_all`, on standard error. It is a context manager."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def default_cache() -> Path:
    """The folder of the jars: `PIPELINE_CACHE`, else one in the user's cache folder."""
    chosen = os.environ.get("PIPELINE_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else user_cache_path("fraud-lakehouse") / "jars"


@cached
def read_jars(file: Path = FILE) -> JarFile:
    """The sets and their pins. Raises ConfigError."""
    return load_yaml(file, JarFile)


def missing(pins: Sequence[Pin], cache: Path) -> tuple[Pin, ...]:
    """Those of `pins` that are not in `cache`, or not with their size."""
    return tuple(pin for pin in pins if not _is_there(pin.path(cache), pin.bytes))


def fetch(pins: Sequence[Pin], cache: Path, progress: Progress | None = None) -> int:
    """Brings every missing one of `pins` into `cache` and returns how many were missing.

    One process fetches at a time, the others wait for it and find its jars. Raises JarError.
    """
    if not missing(pins, cache):
        return 0
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "lock", timeout=_LOCK_SECONDS):
            absent = missing(pins, cache)
            with _aside(cache / "partial") as folder, _report(progress, absent) as advance:
                for pin in absent:
                    _fetch_one(pin, folder, cache, advance)
            return len(absent)
    except Timeout:
        raise JarError(
            f"another process has been fetching jars into {cache} for {_LOCK_SECONDS} s. "
            "Wait for it or end it, then try again"
        ) from None
    except OSError as error:
        raise JarError(
            f"the cache of jars at {cache} cannot be written: {error}. "
            "Make room or choose another folder: PIPELINE_CACHE=<folder> pipeline fetch"
        ) from error


def _class_path(name: SetName, cache: Path | None) -> tuple[Path, ...]:
    cache = cache or default_cache()
    pins = read_jars().pins[name]
    fetch(pins, cache)
    return tuple(pin.path(cache) for pin in pins)


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except (FileNotFoundError, NotADirectoryError):
        return False


def _fetch_one(pin: Pin, folder: Path, cache: Path, advance: "Advance") -> None:
    # Imported here: jgo and requests take 0.3 s, and nothing needs them once the cache is filled.
    from operations.maven import download

    try:
        file = download(pin.jar, folder, advance)
    except (OSError, RuntimeError) as error:
        raise JarError(
            f"{pin.jar} ({pin.bytes} bytes) cannot be fetched: {error}. Check the network (a mirror of Maven Central "
            "is named in jgo's configuration file), then: pipeline fetch. A machine without network can be given "
            f"the folder {cache} of another one"
        ) from error
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != pin.sha256:
        raise JarError(
            f"{pin.jar} is not the one that was pinned: its SHA-256 is {found}, {FILE} says {pin.sha256}. "
            "Nothing was kept. Try again; if it stays so, the repository or a mirror serves another file: do not use it"
        )
    target = pin.path(cache)
    target.parent.mkdir(exist_ok=True)
    file.replace(target)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """An empty folder on the cache's own file system, so that a rename is atomic; gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _report(progress: Progress | None, pins: Sequence[Pin]) -> Iterator["Advance"]:
    if progress is None:
        yield lambda _size: None
        return
    task = progress.add_task(f"Fetching {len(pins)} jars", total=sum(pin.bytes for pin in pins))
    yield lambda size: progress.advance(task, size)
