"""The session: one life of the pipeline, from `pipeline up` to `pipeline down`. Its id stands on every log line.

An id is the UTC time of the start and six random digits: `20260102T030405Z-a1b2c3`.
"""

import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version

import yaml

from contracts.paths import PROJECT

# Marks every process of a pipeline; a shell that took the addresses from `pipeline env` has no session.
SESSION_VARIABLE = "PIPELINE_SESSION"
_TIME = "%Y%m%dT%H%M%SZ"
_LIBRARIES = ("apache-flink", "dagster", "pyiceberg", "duckdb", "great-expectations")


def new_session(now: datetime) -> str:
    """The id of a session that begins `now` (aware)."""
    return f"{now.astimezone(UTC):{_TIME}}-{secrets.token_hex(3)}"


def current_session(environment: Mapping[str, str] | None = None) -> str | None:
    """The session that this process (or one with this environment) belongs to; None for none."""
    return (os.environ if environment is None else environment).get(SESSION_VARIABLE) or None


def began(session_id: str) -> datetime:
    """When the session began (UTC, to the second). Raises ValueError for what is no session's id."""
    return datetime.strptime(session_id.partition("-")[0], _TIME).replace(tzinfo=UTC)


def versions() -> dict[str, str]:
    """What a session runs on here: Python, the libraries that matter, and the broker's and the tables' jars."""
    jars = yaml.safe_load((PROJECT / "config" / "jars.yaml").read_text(encoding="utf-8"))["sets"]
    coordinates = [coordinate for found in jars.values() for coordinate in found["coordinates"]]
    pinned = requires("fraud-lakehouse") or []
    named = {"kafka": "org.apache.kafka:kafka_", "iceberg": "org.apache.iceberg:iceberg-flink-runtime"}
    return {
        "python": platform.python_version(),
        **{library: _version(library, pinned) for library in _LIBRARIES},
        **{
            name: coordinate.rpartition(":")[2]
            for name, start in named.items()
            for coordinate in coordinates
            if coordinate.startswith(start)
        },
    }


def _version(library: str, pinned: Sequence[str]) -> str:
    """The one installed, or the one pinned: not every container has all of them."""
    try:
        return version(library)
    except PackageNotFoundError:
        return next(pin.removeprefix(f"{library}==") for pin in pinned if pin.startswith(f"{library}=="))
