"""Where in the log a new rule book begins, so that its velocity windows are warm from the first record it judges."""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from contracts import names
from contracts.errors import NotRunning
from contracts.kafka_access import KafkaAccess
from streaming.deployments import Begin

# Added to the longest window: producers' clocks and the broker's may differ, and records wait in buffers.
_MARGIN_SECONDS = 60
_SECONDS = 10.0


def beginning_at_the_end(kafka: KafkaAccess, memory_seconds: int) -> Begin:
    """Judge whatever is written from now on. Raises NotRunning where Kafka at `kafka` does not answer in time."""
    with _Log(kafka) as log:
        return log.begin(log.ends(), memory_seconds)


def beginning_at(kafka: KafkaAccess, judge_from: Mapping[int, int], memory_seconds: int) -> Begin:
    """Judge from those offsets on, by partition; a partition without one from its first. Raises NotRunning."""
    with _Log(kafka) as log:
        return log.begin(judge_from, memory_seconds)


@dataclass(frozen=True)
class _Record:
    """A record: its place in its partition, and when it was sent, in milliseconds since the epoch."""

    offset: int
    timestamp_ms: int


class _Log:
    """The raw topic."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._kafka = kafka
        self._consumer = Consumer(
            {**kafka.observer(), "isolation.level": "read_committed", "enable.partition.eof": True}
        )

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._consumer.close()
        if isinstance(error, KafkaException):
            raise NotRunning(f"Kafka at {self._kafka} does not answer: {error.args[0].str()}") from error

    def _partitions(self) -> list[TopicPartition]:
        topic = self._consumer.list_topics(names.RAW_TOPIC, timeout=_SECONDS).topics[names.RAW_TOPIC]
        return [TopicPartition(names.RAW_TOPIC, partition) for partition in sorted(topic.partitions)]

    def ends(self) -> dict[int, int]:
        """Return by partition the offset after its last record.

        Not the end of the log: what follows the last record of a transaction is a marker, which no job reads, so that
        none would ever be seen to have passed it.
        """
        found = {}
        for part in self._partitions():
            earliest, end = self._consumer.get_watermark_offsets(part, timeout=_SECONDS)
            last = self._last_record(part.partition, earliest, end)
            found[part.partition] = last.offset + 1 if last else earliest
        return found

    def _last_record(self, partition: int, earliest: int, end: int) -> _Record | None:
        """Return the partition's last committed record from `earliest` to before `end`; None if there is none."""
        span = 100
        while end > earliest:
            begin = max(earliest, end - span)
            if (last := self._last_record_of(partition, begin, end)) is not None:
                return last
            if begin == earliest:
                break
            span *= 10
        return None

    def _last_record_of(self, partition: int, begin: int, end: int) -> _Record | None:
        """Return the last committed record from `begin` to before `end`, reading all of them; None if there is none."""
        last = None
        self._consumer.assign([TopicPartition(names.RAW_TOPIC, partition, begin)])
        try:
            while (message := self._consumer.poll(_SECONDS)) is not None:
                problem = message.error()
                if problem and problem.code() == KafkaError._PARTITION_EOF:
                    return last
                if problem:
                    raise KafkaException(problem)
                # Under traffic there is no end to be met: more has come meanwhile.
                offset = message.offset() or 0
                last = _Record(offset, int(message.timestamp()[1])) if offset < end else last
                if offset >= end - 1:
                    return last
        finally:
            self._consumer.unassign()
        raise NotRunning(f"Kafka at {self._kafka} does not send the end of {names.RAW_TOPIC}/{partition}")

    def begin(self, judge_from: Mapping[int, int], memory_seconds: int) -> Begin:
        """Read from the longest window before each of `judge_from`, which a rule book without windows needs not."""
        if not memory_seconds:
            return Begin(read_from=dict(judge_from), judge_from=dict(judge_from))
        read_from = {}
        for partition, offset in judge_from.items():
            part = TopicPartition(names.RAW_TOPIC, partition)
            earliest, end = self._consumer.get_watermark_offsets(part, timeout=_SECONDS)
            # What is right before it may be a marker, which has no time that counts.
            last = self._last_record(partition, earliest, min(offset, end))
            if last is None:
                read_from[partition] = offset
                continue
            part.offset = max(0, last.timestamp_ms - (memory_seconds + _MARGIN_SECONDS) * 1000)
            (found,) = self._consumer.offsets_for_times([part], timeout=_SECONDS)
            read_from[partition] = min(found.offset, offset) if found.offset >= 0 else offset
        return Begin(read_from=read_from, judge_from=dict(judge_from))
