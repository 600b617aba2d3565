"""Quix Streams at its exactly-once setting: `python -m benchmarks.peers.quix FOLDER`.

Alerts, dead letters, the state of the rules and the consumer's offsets are committed in one transaction of Kafka's
every 5 s; rows are added to the tables just before, by a sink. Prints its `Result` as JSON.
"""

import sys
import time
from importlib.metadata import version
from typing import Any

import orjson
from quixstreams import Application, State
from quixstreams.sinks.base import BaseSink

from benchmarks.harness import ends_of
from benchmarks.peers.result import Result
from benchmarks.peers.topics import make_topics
from benchmarks.peers.work import Alert, Judge, Lake, Place, Record, Rules, no_past
from contracts import names
from contracts.addresses import Addresses

_GUARANTEE = (
    "alerts, state and offsets exactly once, in transactions of Kafka's; rows at least once: a crash between the sink "
    "and the transaction adds the last 5 s again"
)
_COMMIT_SECONDS = 5.0


class _TableSink(BaseSink):
    """Both tables in one, so that each gets one commit for all partitions."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake

    def add(  # type: ignore[no-untyped-def]
        self, value: tuple[bytes | None, Record | None], key: Any, timestamp: int, headers: Any, topic: str,
        partition: int, offset: int,
    ):  # fmt: skip
        payload, record = value
        place = Place(partition, offset, timestamp)
        if record is None:
            self._lake.refuse(place, payload)
        else:
            self._lake.add(place, record)

    def flush(self) -> None:
        self._lake.commit()


def run(addresses: Addresses, state: str) -> Result:
    """Does all the work there is."""
    judge, rules, lake = Judge(), Rules(), Lake.make(addresses)
    topics, ends = make_topics(addresses, "quix"), ends_of(addresses)
    left = sum(ends.values())

    def processed(*_: object) -> None:
        nonlocal left
        left -= 1
        if not left:
            application.stop()

    application = Application(
        addresses.kafka_bootstrap_servers, consumer_group="peer-quix", auto_offset_reset="earliest",
        commit_interval=_COMMIT_SECONDS, processing_guarantee="exactly-once", state_dir=state, loglevel="ERROR",
        producer_extra_config={"linger.ms": 1, "compression.type": "lz4"}, on_message_processed=processed,
    )  # fmt: skip
    raw = application.topic(names.RAW_TOPIC, key_deserializer="bytes", value_deserializer="bytes")
    alerts_topic = application.topic(topics.alerts, key_serializer="bytes", value_serializer="bytes")
    dead_letters = application.topic(topics.dead_letters, key_serializer="bytes", value_serializer="bytes")
    alerts = 0

    def alerts_of(record: Record, state: State) -> list[Alert]:
        nonlocal alerts
        past = no_past()
        past.extend(state.get("past", ()))
        found = rules.alerts(record, past)
        state.set("past", list(past))
        alerts += len(found)
        return found

    judged = application.dataframe(raw).apply(lambda payload: (payload, judge(payload)))
    judged.sink(_TableSink(lake))
    judged.filter(lambda pair: pair[1] is None).apply(lambda pair: pair[0]).to_topic(dead_letters)
    valid = judged.filter(lambda pair: pair[1] is not None).apply(lambda pair: pair[1])
    valid.apply(alerts_of, stateful=True, expand=True).apply(orjson.dumps).to_topic(alerts_topic)
    began = time.monotonic()
    application.run()
    return Result(
        f"Quix Streams {version('quixstreams')}", _GUARANTEE, time.monotonic() - began, lake.valid, lake.refused, alerts
    )


if __name__ == "__main__":
    sys.stdout.write(run(Addresses.from_environment(), sys.argv[1]).to_json())
