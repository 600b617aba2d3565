"""Operations that change a whole state folder: a start without state, `repair`, `reset` and `reset --keep-tables`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock, patch

from contracts import names
from contracts.kafka_access import KafkaAccess
from contracts.paths import StatePaths
from contracts.positions import Position
from contracts.settings import Settings
from lake.catalog_file import local_path
from lake.log_identity import LogIdentity, record_identity
from operations.embedded.lifecycle import Pipeline
from operations.repair import repair
from operations.resume import TOPICS, lakehouse_start
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets
from pipeline_assets.lib.skips import Skip, add_skip
from streaming.checkpoints import restore_points
from tests.checkpoint_files import write_metadata
from tests.interruptions.operation import Operation, Seen
from tests.interruptions.reading import addresses_of, opened, rows_of, rows_or_refusal
from tests.interruptions.tables import flink, three_commits
from tests.lake_tables import alert, dead_letter, lake_in, transaction

# What is named after the time has the same name in each run, so that like states can be told to be alike.
_CLOCK = Mock(now=Mock(return_value=datetime(2026, 11, 30, 12, tzinfo=UTC)))


def _filled(state: Path) -> None:
    """Make a state folder with rows, a log, checkpoints, a history, and a file of somebody's."""
    three_commits(state)
    paths = StatePaths(state)
    write_metadata(paths.checkpoints / names.LAKEHOUSE_JOB / "plan" / "job" / "chk-1", {names.RAW_TOPIC: {0: 3}})
    paths.settled_offsets.write_text("{}")
    for path in (paths.kafka / "logs" / "1.log", paths.kafka / "logs" / "2.log", paths.dagster / "history" / "runs.db"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x00random")
    (state / "leftover.txt").touch()
    (paths.run / "pipeline.lock").touch()


def _checkpoints(state: Path) -> int:
    return len(restore_points(StatePaths(state).checkpoints, names.LAKEHOUSE_JOB))


# --- a start of `lakehouse` without its state, after a checkpoint that only some tables have, with records to pass over


def _half_a_checkpoint(state: Path) -> None:
    with lake_in(state) as lake:
        for checkpoint in (1, 2):
            lake.append(names.TRANSACTIONS, [transaction(2 * checkpoint)], **flink(checkpoint))
        lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=3)], **flink(1))
        lake.append(names.ALERTS, [alert(1)], **flink(2))
        for topic in TOPICS:
            record_identity(lake.catalog, topic, LogIdentity(f"id of {topic}", {0: 0}))
    add_skip(StatePaths(state).skips, Position(names.RAW_TOPIC, 0, 5), why="it hurts", operator="me")


def _topic_offsets(_kafka: KafkaAccess, topics: tuple[str, ...]) -> tuple[TopicOffsets, ...]:
    return tuple(TopicOffsets(topic, (PartitionOffsets(0, 0, 1000, 1000),)) for topic in topics)


def _topic_ids(_kafka: KafkaAccess, topics: tuple[str, ...]) -> dict[str, str]:
    return {topic: f"id of {topic}" for topic in topics}


def _records(_kafka: KafkaAccess, skip: Skip, begin: int) -> list[SimpleNamespace]:
    def record(offset: int) -> SimpleNamespace:
        return SimpleNamespace(offset=lambda: offset, value=lambda: f"{offset}".encode())

    return [record(offset) for offset in range(begin, skip.offset + 1)]


@contextmanager
def _kafka() -> Iterator[None]:
    with ExitStack() as patches:
        patches.enter_context(patch("operations.resume.topic_offsets", _topic_offsets))
        patches.enter_context(patch("operations.resume.topic_ids", _topic_ids))
        patches.enter_context(patch("pipeline_assets.lib.skips._read", _records))
        yield


def _start(state: Path) -> None:
    with _kafka():
        lakehouse_start(addresses_of(state), Settings(state=state))


# --- repair


def _with_cut_metadata(state: Path) -> None:
    _filled(state)
    with opened(state) as catalog:
        path = local_path(catalog.load_table(f"{names.NAMESPACE}.{names.TRANSACTIONS}").metadata_location)
    path.write_bytes(path.read_bytes()[:300])


def _without_catalog(state: Path) -> None:
    _filled(state)
    StatePaths(state).catalog.write_bytes(b"no database at all")


def _repair(state: Path) -> None:
    with patch("operations.repair.datetime", _CLOCK):
        list(repair(Settings(state=state)))


def _damage(state: Path) -> Seen:
    paths = StatePaths(state)
    return {
        "tables": rows_or_refusal(state),
        "checkpoints": _checkpoints(state),
        "settled": paths.settled_offsets.exists(),
        "history": paths.dagster.exists(),
    }


def _kept(state: Path) -> object:
    """Return how often what was damaged is kept: the catalog, the checkpoints, and Dagster's history."""
    patterns = ("lake/catalog.db.damaged-*z", "flink/checkpoints/lakehouse.until-*/plan/job/chk-1", "dagster.until-*/*")
    return [len(list(state.glob(pattern))) for pattern in patterns]


def _no_checkpoint_is_ahead_of_tables(seen: Seen) -> None:
    assert seen["tables"] == "refused" or not (seen["checkpoints"] or seen["settled"])


# --- reset


def _reset(state: Path) -> None:
    Pipeline(Settings(state=state)).reset()


def _set_tables_aside(state: Path) -> None:
    with patch("operations.embedded.lifecycle.datetime", _CLOCK):
        Pipeline(Settings(state=state)).set_tables_aside()


def _log_and_checkpoints(state: Path) -> Seen:
    return {"log": StatePaths(state).kafka.exists(), "checkpoints": _checkpoints(state)}


def _goes_last(state: Path) -> Seen:
    """Show the rows as long as there is a log or a checkpoint by which others would be added to them."""
    written = _log_and_checkpoints(state)
    return {**written, "rows": rows_of(state) if any(written.values()) else None}


def _stays(state: Path) -> Seen:
    return {**_log_and_checkpoints(state), "rows": rows_of(state)}


def _names(state: Path) -> object:
    """Return the namespaces and the folders that are there."""
    with opened(state) as catalog:
        namespaces = [space[0] for space in catalog.list_namespaces()]
    folders = (state, state / "run", state / "lake")
    paths = [str(path.relative_to(state)) for folder in folders for path in folder.iterdir()]
    return sorted((*namespaces, *paths))


def _is_there(state: Path) -> object:
    return state.exists()


OPERATIONS = (
    Operation("start without state", _half_a_checkpoint, _start, rows_of),
    Operation("repair", _with_cut_metadata, _repair, _damage, _kept, _no_checkpoint_is_ahead_of_tables),
    Operation("repair a catalog", _without_catalog, _repair, _damage, _kept, _no_checkpoint_is_ahead_of_tables),
    Operation("reset", _filled, _reset, _goes_last, _is_there),
    Operation("set tables aside", _filled, _set_tables_aside, _stays, _names),
)
