"""Bytewax with recovery on: `python -m benchmarks.peers.bytewax FOLDER`.

Its epochs last 5 s; at the end of each the state of the rules and the source's offsets go to its recovery store, and
the rows to the tables. Prints its `Result` as JSON.
"""

import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from bytewax import operators
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.result import Result
from benchmarks.peers.topics import make_topics
from benchmarks.peers.work import Judge, Lake, Past, Place, Record, Rules, no_past
from contracts import names
from contracts.addresses import Addresses

# A message of Bytewax's with the record that it holds, None where it is refused.
Judged = tuple[Any, Record | None]

_GUARANTEE = "state and offsets once in each epoch of 5 s; rows and alerts at least once: a crash repeats an epoch"
_EPOCH = timedelta(seconds=5)
_BATCH = 1_000
_SETTINGS = {"linger.ms": "1", "compression.type": "lz4"}


class _TablePartition(StatefulSinkPartition[Judged, None]):
    """Keeps what arrives until the epoch ends."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def write_batch(self, values: list[Judged]) -> None:
        for message, record in values:
            place = Place(message.partition or 0, message.offset or 0, (message.timestamp or (0, 0))[1])
            if record is None:
                self._lake.refuse(place, message.value)
            else:
                self._lake.add(place, record)

    def snapshot(self) -> None:
        self._lake.commit()


class _TableSink(FixedPartitionedSink[Judged, None]):
    """Both tables in one, so that each gets one commit for all partitions."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def list_parts(self) -> list[str]:
        return ["lake"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _TablePartition:
        return _TablePartition(self._lake)


def run(addresses: Addresses, recovery: Path) -> Result:
    """Does all the work there is."""
    judge, rules, lake = Judge(), Rules(), Lake.make(addresses)
    topics = make_topics(addresses, "bytewax")
    brokers, alerts = [addresses.kafka_bootstrap_servers], 0

    def alerts_of(past: Past | None, record: Record) -> tuple[Past, Iterable[bytes]]:
        nonlocal alerts
        past = no_past() if past is None else past
        found = rules.alerts(record, past)
        alerts += len(found)
        return past, map(orjson.dumps, found)

    flow = Dataflow("peer")
    raw = kafka.input("raw", flow, brokers=brokers, topics=[names.RAW_TOPIC], tail=False, batch_size=_BATCH)
    operators.raises("broker", raw.errs)
    judged = operators.map("judge", raw.oks, lambda message: (message, judge(message.value)))
    rows = operators.key_on("rows", judged, lambda _: "lake")
    operators.output("lake", rows, _TableSink(lake))
    fates = operators.branch("fate", judged, lambda pair: pair[1] is None)
    refused = operators.map("refused", fates.trues, lambda pair: pair[0])
    kafka.output("dead-letters", refused, brokers=brokers, topic=topics.dead_letters, add_config=_SETTINGS)
    valid = operators.map("valid", fates.falses, lambda pair: (pair[1]["account_id"], pair[1]))
    alerted = operators.stateful_flat_map("rules", valid, alerts_of)
    messages = operators.map("messages", alerted, lambda pair: KafkaSinkMessage(pair[0].encode(), pair[1]))
    kafka.output("alerts", messages, brokers=brokers, topic=topics.alerts, add_config=_SETTINGS)
    init_db_dir(recovery, 1)
    began = time.monotonic()
    cli_main(flow, epoch_interval=_EPOCH, recovery_config=RecoveryConfig(str(recovery)))
    seconds = time.monotonic() - began
    return Result(f"Bytewax {version('bytewax')}", _GUARANTEE, seconds, lake.valid, lake.refused, alerts)


if __name__ == "__main__":
    sys.stdout.write(run(Addresses.from_environment(), Path(sys.argv[1])).to_json())
