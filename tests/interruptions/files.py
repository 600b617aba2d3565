"""Operations that write files, none ever half there: decisions, exports, pages, jars, copies, and a socket's place."""

import hashlib
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

from contracts import names
from contracts.paths import StatePaths
from contracts.positions import Position
from contracts.settings import Settings
from operations.cli_dead_letters import _replacing
from operations.embedded.storage import keep_contracts, storage
from operations.embedded.supervision import Supervisor
from operations.jars import Pin, fetch
from pipeline_assets.lib.skips import add_skip, read_skips
from quality.data_docs import build
from tests.interruptions.operation import Operation, Seen


def contents(folder: Path) -> Seen:
    """Return what is in each file below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- a decision to pass over records


def _one_skip(state: Path) -> None:
    add_skip(StatePaths(state).skips, Position(names.RAW_TOPIC, 0, 1), why="the first", operator="me")


def _farther_skip(state: Path) -> None:
    """Pass over more, unless that was decided before."""
    if len(read_skips(StatePaths(state).skips)) == 1:
        add_skip(StatePaths(state).skips, Position(names.RAW_TOPIC, 0, 2), why="the second", operator="me")


def _skips(state: Path) -> Seen:
    return {"skips": [skip.why for skip in read_skips(StatePaths(state).skips)]}


# --- an export of dead letters


def _former_export(folder: Path) -> None:
    (folder / "export.jsonl").write_bytes(b"the former")


def _export(folder: Path) -> None:
    with _replacing(folder / "export.jsonl") as file:
        file.write(b"the new")


def _exported(folder: Path) -> Seen:
    return {"export": (folder / "export.jsonl").read_bytes()}


# --- the pages of Great Expectations


def _pages(folder: Path, content: bytes) -> None:
    for name in ("index.html", "validations/one.html"):
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(content)


def _former_pages(folder: Path) -> None:
    _pages(folder / "docs", b"the former")


def _build(folder: Path) -> None:
    def context(*, mode: str, project_root_dir: Path) -> MagicMock:
        _pages(project_root_dir / "gx" / "uncommitted" / "data_docs" / "local_site", f"new, {mode}".encode())
        return MagicMock()

    with patch("quality.data_docs.gx.get_context", context):
        build(folder / "docs", (), {})


def _site(folder: Path) -> Seen:
    """Show the pages, which are looked at together; nothing while there are none."""
    return {"pages": found} if (found := contents(folder / "docs")) else {}


# --- jars


_JAR = b"the jar"
_PIN = Pin(jar="org.example:one:1.0", bytes=len(_JAR), sha256=hashlib.sha256(_JAR).hexdigest())


def _half_a_jar(cache: Path) -> None:
    """Leave what a download that was killed leaves."""
    (cache / "partial").mkdir(parents=True)
    for name in ("one.jar", "two.jar"):
        (cache / "partial" / name).write_bytes(_JAR[:3])


def _fetch(cache: Path) -> None:
    def repository(folder: Path, _resolver: object) -> SimpleNamespace:
        def resolve() -> Path:
            folder.mkdir(parents=True)
            for name in ("one-1.0.jar", "one-1.0.jar.sha1"):
                (folder / name).write_bytes(_JAR)
            return folder / "one-1.0.jar"

        artifact = SimpleNamespace(artifact=SimpleNamespace(resolve=resolve))
        return SimpleNamespace(create_dependency=lambda _: artifact)

    with patch("operations.maven._context", repository):
        fetch([_PIN], cache)


def _jar(cache: Path) -> Seen:
    path = _PIN.path(cache)
    return {"jar": path.read_bytes() if path.exists() else None}


# --- what a start makes: the copy of the contracts, and the databases


def _former_contracts(state: Path) -> None:
    folder = StatePaths(state).contracts
    folder.mkdir(parents=True)
    for name in ("a.json", "b.json"):
        (folder / name).write_text("former")


def _keep_contracts(state: Path) -> None:
    keep_contracts(StatePaths(state))


def _made(_command: object, *, env: dict[str, str], **_options: object) -> nullcontext[SimpleNamespace]:
    """Stand in for the process that makes Dagster's databases."""
    for name in ("history/runs.db", "schedules/schedules.db"):
        path = Path(env["DAGSTER_HOME"]) / name
        path.parent.mkdir()
        path.write_bytes(b"complete")
    return nullcontext(SimpleNamespace(returncode=0, communicate=lambda **_: ("", ""), kill=lambda: None))


def _make_storage(state: Path) -> None:
    with patch("operations.embedded.storage.subprocess.Popen", _made), storage(Settings(state=state), {}):
        pass


def _no_storage(state: Path) -> None:
    """Leave what a start that was killed early leaves."""
    aside = StatePaths(state).dagster / "new" / "history"
    aside.mkdir(parents=True)
    for name in ("a.db", "b.db"):
        (aside / name).write_bytes(b"half")


def _databases(state: Path) -> Seen:
    return contents(StatePaths(state).dagster / "history")


# --- the supervisor's socket, whose own path is too long


def _deep(state: Path) -> Path:
    return state / ("long" * 30)


def _former_socket(state: Path) -> None:
    (_deep(state) / "run").mkdir(parents=True)
    _place_socket(state)


def _place_socket(state: Path) -> None:
    with patch("operations.embedded.supervision.tempfile.tempdir", str(state)):
        Supervisor(StatePaths(_deep(state)))._place_socket().touch()


def _socket(state: Path) -> object:
    return Path(os.path.realpath(_deep(state) / "run" / "supervisor.sock")).is_file()


def _no_parts(_folder: Path) -> Seen:
    return {}


OPERATIONS = (
    Operation("skip", _one_skip, _farther_skip, _skips),
    Operation("export", _former_export, _export, _exported, contents),
    Operation("build pages", _former_pages, _build, _site, contents),
    Operation("fetch jars", _half_a_jar, _fetch, _jar),
    Operation("keep contracts", _former_contracts, _keep_contracts, _no_parts, contents),
    Operation("make databases", _no_storage, _make_storage, _databases, contents),
    Operation("place a socket", _former_socket, _place_socket, _no_parts, _socket),
)
