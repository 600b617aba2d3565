"""How far into a Kafka topic a checkpoint or savepoint has read: told from its files, while no Flink runs.

Kafka's consumer group does not tell it. Flink commits offsets after a checkpoint, when its consumer next polls: up to
10 s later, and not at all once the job has been stopped. Two jobs of one group overwrite each other's.
"""

import re
import struct
from pathlib import Path

import structlog

from contracts.errors import ComponentFailed
from streaming.checkpoints import RestorePoint, restore_points

log = structlog.get_logger()

# `KafkaPartitionSplitSerializer` of flink-connector-kafka 4: topic (two bytes of length, then its text), partition
# (int), next offset (long), and the offset to stop at (long), which for an endless source is Long.MIN_VALUE.
_ENDLESS = struct.pack(">q", -(2**63))
_PARTITION_AND_OFFSET = struct.Struct(">iq")


def positions_in(point: RestorePoint, topic: str) -> dict[int, int]:
    """Return by partition of `topic` the offset of the first record that `point` has not read.

    A partition of which nothing was read has none. Raises ComponentFailed for a `point` that names no partition of
    the topic at all.
    """
    name = topic.encode()
    split = re.compile(re.escape(struct.pack(">H", len(name)) + name) + b"(.{12})" + re.escape(_ENDLESS), re.DOTALL)
    file = point.path / "_metadata"
    found = [_PARTITION_AND_OFFSET.unpack(state) for state in split.findall(file.read_bytes())]
    if not found:
        raise ComponentFailed(
            f"{file} does not tell how far the topic {topic} was read: it is damaged, or another version of Flink's "
            "Kafka connector wrote it. Begin with empty tables: pipeline reset"
        )
    # Below 0 are words of Flink's, such as "the earliest": nothing was read.
    return {partition: offset for partition, offset in found if offset >= 0}


def newest_readable(
    checkpoints: Path, job: str, fingerprint: str, topic: str
) -> tuple[RestorePoint, dict[int, int]] | None:
    """Return the newest checkpoint or savepoint of `job` that tells how far it has read `topic`, and what it tells."""
    for point in restore_points(checkpoints, job, fingerprint):
        try:
            return point, positions_in(point, topic)
        except ComponentFailed as damage:
            log.warning("a checkpoint is passed over", path=str(point.path), reason=str(damage))
        except FileNotFoundError:
            continue  # Flink has removed it meanwhile
    return None
