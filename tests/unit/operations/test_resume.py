"""What `lakehouse` goes on from: its newest usable state, else the rows that are stored; over real tables, no Kafka."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts import names
from contracts.errors import ComponentFailed
from contracts.kafka_access import KafkaAccess
from contracts.paths import StatePaths
from contracts.positions import Position
from contracts.settings import Settings
from operations import resume
from operations.resume import Start, lakehouse_start
from pipeline_assets.lib.kafka_offsets import PartitionOffsets, TopicOffsets
from pipeline_assets.lib.skips import Skip, add_skip
from streaming.checkpoints import checkpoint_folder, record_contracts, savepoint_folder
from streaming.jobs.catalogue import job_plan
from tests.checkpoint_files import write_metadata
from tests.config_copies import copy_of_config, forget_contracts, with_optional_fields
from tests.lake_tables import Lake, alert, dead_letter, transaction

_RAW, _ALERTS = names.RAW_TOPIC, names.ALERT_TOPIC


@dataclass
class Log:
    """Kafka: by topic and partition the first and the end offset, and the ids of the topics."""

    ends: dict[str, dict[int, tuple[int, int]]] = field(
        default_factory=lambda: {_RAW: {0: (0, 1000), 1: (0, 1000)}, _ALERTS: {0: (0, 100)}}
    )
    ids: dict[str, str] = field(default_factory=lambda: {_RAW: "raw-1", _ALERTS: "alerts-1"})

    def topic_offsets(self, kafka: KafkaAccess, topics: tuple[str, ...]) -> tuple[TopicOffsets, ...]:
        return tuple(
            TopicOffsets(
                topic, tuple(PartitionOffsets(part, first, end, end) for part, (first, end) in self.ends[topic].items())
            )
            for topic in topics
            if topic in self.ends
        )

    def topic_ids(self, kafka: KafkaAccess, topics: tuple[str, ...]) -> dict[str, str]:
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()
    monkeypatch.setattr(resume, "topic_offsets", found.topic_offsets)
    monkeypatch.setattr(resume, "topic_ids", found.topic_ids)
    return found


@pytest.fixture
def settings(lake: Lake) -> Settings:
    return Settings(state=lake.state)


def _fingerprint(lake: Lake, settings: Settings) -> str:
    return job_plan(names.LAKEHOUSE_JOB, lake.addresses, settings).fingerprint


def _checkpoint(
    lake: Lake, settings: Settings, raw: Mapping[int, int], *, number: int = 7, fingerprint: str | None = None
) -> Path:
    """A checkpoint of the job, which has read up to `raw`, and the alerts up to 3."""
    folder = checkpoint_folder(
        settings.paths.checkpoints, names.LAKEHOUSE_JOB, fingerprint or _fingerprint(lake, settings)
    )
    return write_metadata(folder / "job-1" / f"chk-{number}", {_RAW: raw, _ALERTS: {0: 3}})


def _flink(checkpoint: int, job: str = "job-1") -> dict[str, str]:
    return {names.FLINK_JOB_ID_PROPERTY: job, names.FLINK_CHECKPOINT_PROPERTY: str(checkpoint)}


def _commit(lake: Lake, checkpoint: int, first: int, *, whole: bool = True, job: str = "job-1") -> None:
    """A checkpoint's rows: offsets `first` to `first + 2` of partition 0, the last of them refused, and an alert.

    Unless it is `whole`, the job ended before it had committed all of it.
    """
    rows = [transaction(0, kafka_partition=0, kafka_offset=first + place) for place in range(2)]
    lake.append(names.TRANSACTIONS, rows, **_flink(checkpoint, job))
    if whole:
        lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=first + 2)], **_flink(checkpoint, job))
        lake.append(names.ALERTS, [alert(checkpoint, kafka_offset=checkpoint)], **_flink(checkpoint, job))


def _stored(lake: Lake) -> list[int]:
    places: list[int] = lake.table(names.TRANSACTIONS).scan().to_arrow()["kafka_offset"].to_pylist()
    return sorted(places + lake.table(names.DEAD_LETTERS).scan().to_arrow()["offset"].to_pylist())


def test_lakehouse_start_of_a_job_that_never_ran_is_the_beginning_of_the_log(
    lake: Lake, settings: Settings, log: Log
) -> None:
    log.ends[_RAW][1] = (40, 1000)
    assert lakehouse_start(lake.addresses, settings) == Start(offsets={_RAW: {0: 0, 1: 40}, _ALERTS: {0: 0}})


def test_lakehouse_start_of_a_job_with_state_is_its_newest_checkpoint(lake: Lake, settings: Settings, log: Log) -> None:
    _commit(lake, 1, 0)
    _checkpoint(lake, settings, {0: 3}, number=1)
    newest = _checkpoint(lake, settings, {0: 6}, number=2)
    point = lakehouse_start(lake.addresses, settings).point
    assert point is not None
    assert point.path == newest


def test_lakehouse_start_after_its_contract_has_grown_is_its_newest_checkpoint(
    lake: Lake, settings: Settings, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = _fingerprint(lake, settings)
    folder = _checkpoint(lake, settings, {0: 3})
    record_contracts(settings.paths.checkpoints, names.LAKEHOUSE_JOB, fingerprint)
    monkeypatch.setenv("PIPELINE_CONFIG", str(with_optional_fields(copy_of_config(tmp_path))))
    forget_contracts()
    try:
        assert _fingerprint(lake, settings) != fingerprint
        point = lakehouse_start(lake.addresses, settings).point
    finally:
        forget_contracts()
    assert point is not None
    assert point.path == folder


@pytest.mark.parametrize("what", ["never written", "removed", "damaged", "older than the tables", "of another plan"])
def test_lakehouse_start_without_usable_state_goes_on_after_the_stored_rows(
    lake: Lake, settings: Settings, log: Log, what: str
) -> None:
    for checkpoint in (1, 2):
        _commit(lake, checkpoint, 3 * checkpoint - 3)
    match what:
        case "damaged":
            metadata = _checkpoint(lake, settings, {0: 6}) / "_metadata"
            metadata.write_bytes(metadata.read_bytes()[:20])
        case "older than the tables":
            _checkpoint(lake, settings, {0: 3})
        case "of another plan":
            _checkpoint(lake, settings, {0: 6}, fingerprint="that of another version")
    found = lakehouse_start(lake.addresses, settings)
    assert found == Start(offsets={_RAW: {0: 6, 1: 0}, _ALERTS: {0: 3}})
    assert _stored(lake) == [0, 1, 2, 3, 4, 5]


def test_lakehouse_start_damaged_newest_state_an_older_one_that_the_tables_are_not_beyond_is_taken(
    lake: Lake, settings: Settings, log: Log
) -> None:
    _commit(lake, 1, 0)
    whole = _checkpoint(lake, settings, {0: 3}, number=1)
    folder = savepoint_folder(settings.paths.checkpoints, names.LAKEHOUSE_JOB, _fingerprint(lake, settings))
    (write_metadata(folder / "savepoint-2", {_RAW: {0: 6}}) / "_metadata").write_bytes(b"")
    point = lakehouse_start(lake.addresses, settings).point
    assert point is not None
    assert point.path == whole


@pytest.mark.parametrize("job", ["job-1", "job-2"])
def test_lakehouse_start_rows_of_a_checkpoint_that_only_one_table_has_are_read_again(
    lake: Lake, settings: Settings, log: Log, job: str
) -> None:
    _commit(lake, 1, 0)
    # Another job counts its checkpoints from 1 again.
    _commit(lake, 2 if job == "job-1" else 1, 3, whole=False, job=job)
    assert lakehouse_start(lake.addresses, settings) == Start(offsets={_RAW: {0: 3, 1: 0}, _ALERTS: {0: 2}})
    assert _stored(lake) == [0, 1, 2]
    assert lakehouse_start(lake.addresses, settings).offsets[_RAW] == {0: 3, 1: 0}


def test_lakehouse_start_rows_of_the_first_checkpoint_alone_are_read_again(
    lake: Lake, settings: Settings, log: Log
) -> None:
    _commit(lake, 1, 0, whole=False)
    assert lakehouse_start(lake.addresses, settings) == Start(offsets={_RAW: {0: 0, 1: 0}, _ALERTS: {0: 0}})
    assert _stored(lake) == []


@pytest.mark.parametrize("topic", [_RAW, _ALERTS])
def test_lakehouse_start_topic_that_was_made_again_is_refused_and_nothing_is_changed(
    lake: Lake, settings: Settings, log: Log, topic: str
) -> None:
    lakehouse_start(lake.addresses, settings)
    _commit(lake, 1, 0, whole=False)
    log.ids[topic] = "another"
    with pytest.raises(ComponentFailed, match=rf"topic {topic} .*-1, now another.* pipeline reset --keep-tables"):
        lakehouse_start(lake.addresses, settings)
    assert _stored(lake) == [0, 1]


def test_lakehouse_start_topic_that_is_gone_is_refused(lake: Lake, settings: Settings, log: Log) -> None:
    del log.ids[_RAW], log.ends[_RAW]
    with pytest.raises(ComponentFailed, match=r"there is no topic transactions\.raw"):
        lakehouse_start(lake.addresses, settings)


@pytest.mark.parametrize("state", [True, False])
def test_lakehouse_start_log_that_ends_before_what_was_read_is_refused(
    lake: Lake, settings: Settings, log: Log, state: bool
) -> None:
    _commit(lake, 1, 0)
    log.ends[_RAW][0] = (0, 2)
    if state:
        _checkpoint(lake, settings, {0: 3})
    with pytest.raises(ComponentFailed, match=r"partition 0 of transactions\.raw ends at offset 2 .* up to 3"):
        lakehouse_start(lake.addresses, settings)


@pytest.mark.parametrize("state", [True, False])
def test_lakehouse_start_records_that_were_deleted_unread_are_named_until_they_are_passed_over(
    lake: Lake, settings: Settings, log: Log, state: bool
) -> None:
    _commit(lake, 1, 0)
    if state:
        _checkpoint(lake, settings, {0: 3})
    log.ends[_RAW][0] = (451, 1000)
    with pytest.raises(ComponentFailed, match=r"448 records .* pipeline skip transactions\.raw/0/450 --why REASON"):
        lakehouse_start(lake.addresses, settings)
    add_skip(settings.paths.skips, Position(_RAW, 0, 450), why="too late", operator="me")
    kept: list[tuple[Skip, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resume, "keep_skipped", lambda catalog, kafka, skip, begin: kept.append((skip, begin)))
        assert lakehouse_start(lake.addresses, settings).offsets[_RAW] == {0: 451, 1: 0}
    assert [(skip.offset, skip.why, begin) for skip, begin in kept] == [(450, "too late", 3)]


def test_lakehouse_start_alerts_that_were_sent_twice_and_deleted_are_no_loss(
    lake: Lake, settings: Settings, log: Log
) -> None:
    _commit(lake, 1, 0)
    log.ends[_ALERTS][0] = (60, 100)
    assert lakehouse_start(lake.addresses, settings).offsets[_ALERTS] == {0: 60}


def test_lakehouse_start_tables_of_an_earlier_version_are_of_the_log_that_is_there(
    lake: Lake, settings: Settings, log: Log
) -> None:
    """Nothing was recorded of it then. What came before the first row may have been deleted long ago."""
    _commit(lake, 1, 30)
    log.ends[_RAW][0] = (20, 1000)
    assert lakehouse_start(lake.addresses, settings).offsets[_RAW] == {0: 33, 1: 0}
    assert StatePaths(lake.state) == settings.paths
    log.ids[_RAW] = "another"
    with pytest.raises(ComponentFailed, match="raw-1, now another"):
        lakehouse_start(lake.addresses, settings)


def test_lakehouse_start_rows_that_were_taken_back_before_are_not_taken_back_again(
    lake: Lake, settings: Settings, log: Log
) -> None:
    lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=0)], **_flink(1))
    lake.append(names.ALERTS, [alert(2)], **_flink(2))
    lake.append(names.TRANSACTIONS, [transaction(1)], **_flink(1))
    lakehouse_start(lake.addresses, settings)
    emptied = lake.table(names.ALERTS).metadata_location
    lakehouse_start(lake.addresses, settings)
    assert lake.table(names.ALERTS).metadata_location == emptied
    assert lake.table(names.ALERTS).scan().count() == 0
