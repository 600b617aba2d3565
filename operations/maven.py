"""Speaks to a Maven repository through jgo: resolves coordinates, downloads one file. No pins and no cache here.

Which repository is jgo's matter: Maven Central, or what its configuration file names (in `[repositories]`, `central`
puts a mirror in Maven Central's place).
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

# Without an answer for this long, an attempt has failed.
_TIMEOUT_SECONDS = 30

# Told how many bytes came in; a negative number takes back those of an attempt that failed.
Advance = Callable[[int], None]


def resolve(coordinates: Sequence[str]) -> tuple[str, ...]:
    """The jars that `coordinates` (`group:artifact:version`) need at run time: themselves first, the rest sorted.

    Raises OSError or RuntimeError where the repository does not answer or does not know one of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder))
        # "!" makes a plain dependency of it. Else jgo imports what each coordinate manages as well, which Maven does
        # not: kafka_2.13:4.2.2 would come with kafka-clients 3.9.1.
        wanted = [context.create_dependency(f"{coordinate}!") for coordinate in coordinates]
        _, brought = context.resolver.resolve(wanted)
    needed = [jar for jar in brought if jar.scope in ("compile", "runtime")]
    rest = {f"{jar.groupId}:{jar.artifactId}:{jar.version}" for jar in needed}
    return (*coordinates, *sorted(rest - set(coordinates)))


@retry(
    retry=retry_if_exception_type((OSError, RuntimeError)),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5),
    reraise=True,
)
def download(coordinate: str, folder: Path, advance: Advance) -> Path:
    """Downloads the jar `coordinate` into `folder`, which it empties first, and returns its path. Three attempts.

    Raises OSError or RuntimeError where the repository does not answer or does not know it. The content is not judged.
    """
    shutil.rmtree(folder, ignore_errors=True)
    received = 0

    @contextmanager
    def count(_filename: str, _size: int) -> Iterator[Callable[[int], None]]:
        def add(size: int) -> None:
            nonlocal received
            received += size
            advance(size)

        yield add

    context = _context(folder, PythonResolver(progress_callback=count))
    try:
        return context.create_dependency(coordinate).artifact.resolve()
    except (OSError, RuntimeError):
        advance(-received)
        raise


def _context(folder: Path, resolver: PythonResolver | None = None) -> MavenContext:
    context = MavenContext(repo_cache=folder, resolver=resolver, timeout=_TIMEOUT_SECONDS)
    context.remote_repos.update(GlobalSettings.load().repositories)
    return context
