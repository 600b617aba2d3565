"""Records that a person has decided to pass over: kept in the state folder, carried out when `lakehouse` next begins.

What Kafka still has of them is kept as dead letters of the reason `skipped`, with their bytes, so nothing is dropped.
"""

import base64
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import BaseModel, ConfigDict, TypeAdapter
from pyiceberg.catalog import Catalog

from contracts import names, tables
from contracts.errors import NotRunning, PipelineError
from contracts.kafka_access import KafkaAccess
from contracts.positions import Position

# More are no few records that harm, but a mistake in the position.
_MOST = 10_000
_SECONDS = 30.0


class Skip(BaseModel):
    """A decision to pass over every record of a partition up to `offset`, itself included, that is not stored yet."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    offset: int
    why: str
    operator: str
    at: datetime


_SKIPS = TypeAdapter(tuple[Skip, ...])


def read_skips(path: Path) -> tuple[Skip, ...]:
    """Return every decision in the file at `path`, the oldest first."""
    return _SKIPS.validate_json(path.read_bytes()) if path.exists() else ()


def add_skip(path: Path, position: Position, *, why: str, operator: str) -> Skip:
    """Keep a decision in the file at `path`."""
    added = Skip(
        topic=position.topic, partition=position.partition, offset=position.offset, why=why, operator=operator,
        at=datetime.now(UTC),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(_SKIPS.dump_json((*read_skips(path), added), indent=2))
    draft.replace(path)
    return added


def passed(skips: Iterable[Skip]) -> dict[str, dict[int, Skip]]:
    """Return by topic and partition the decision that passes over most."""
    found: dict[str, dict[int, Skip]] = {}
    for skip in sorted(skips, key=lambda skip: skip.offset):
        found.setdefault(skip.topic, {})[skip.partition] = skip
    return found


def keep_skipped(catalog: Catalog, kafka: KafkaAccess, skip: Skip, begin: int) -> int:
    """Keep what Kafka has of the records from `begin` up to that of `skip` as dead letters; how many they are.

    Raises NotRunning if the broker does not answer, PipelineError if they are too many.
    """
    messages = _read(kafka, skip, begin)
    if messages:
        table = catalog.load_table(tables.dead_letters().identifier)
        rows = [_dead_letter(skip, message) for message in messages]
        table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    return len(messages)


def _read(kafka: KafkaAccess, skip: Skip, begin: int) -> list[Message]:
    consumer = Consumer({**kafka.observer(), "isolation.level": "read_committed", "enable.partition.eof": True})
    place = TopicPartition(skip.topic, skip.partition)
    found: list[Message] = []
    try:
        earliest, end = consumer.get_watermark_offsets(place, timeout=_SECONDS)
        if skip.offset >= end:
            raise PipelineError(f"{skip.topic}/{skip.partition} ends at offset {end:,}, before {skip.offset:,}")
        consumer.assign([TopicPartition(skip.topic, skip.partition, max(begin, earliest))])
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=0.5):
                offset, problem = message.offset(), message.error()
                if problem and problem.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(problem)
                if problem or offset is None or offset > skip.offset:
                    return found
                found.append(message)
                if len(found) > _MOST:
                    raise PipelineError(
                        f"more than {_MOST:,} records stand from {skip.partition}/{begin} to {skip.offset} that are "
                        "not stored; name an earlier one"
                    )
    except KafkaException as error:
        raise NotRunning(f"Kafka at {kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()
    raise NotRunning(f"Kafka at {kafka} has not sent the records up to {skip.offset} after {_SECONDS:.0f} s")


def _dead_letter(skip: Skip, message: Message) -> Mapping[str, object]:
    value = message.value()
    try:
        text, encoding = value.decode("utf-8") if value is not None else None, "utf-8"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(value or b"").decode("ascii"), "base64"
    return {
        "topic": skip.topic,
        "partition": skip.partition,
        "offset": message.offset(),
        "reason_code": names.SKIPPED,
        "message": f"passed over by {skip.operator}: {skip.why}",
        "payload": text,
        "payload_encoding": encoding,
        "failed_at": skip.at,
        "replayed_from": None,
    }
