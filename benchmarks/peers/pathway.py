"""Pathway with persistence on: `python -m benchmarks.peers.pathway FOLDER`.

It works in batches of 100 ms. Its own Iceberg writer speaks to REST and Glue catalogs alone, so rows go to the tables
from its subscriptions, every 5 s. Prints its `Result` as JSON.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import orjson
import pathway as pw
from confluent_kafka import Producer

from benchmarks.harness import ends_of
from benchmarks.peers.result import Result
from benchmarks.peers.topics import make_topics
from benchmarks.peers.work import Judge, Lake, Place, Rules, no_past
from contracts import names
from contracts.addresses import Addresses

_GUARANTEE = "input and state kept; rows and alerts at least once: a crash repeats what its last snapshot does not hold"
_COMMIT_SECONDS, _BATCH_MS, _SNAPSHOT_MS = 5.0, 100, 5_000

# The moments of an account's last records, and the alerts that the newest batch raised.
State = tuple[tuple[int, ...], tuple[bytes, ...]]


@dataclass
class _Outputs:
    """What leaves the engine; ends the process when everything has, for a stream of Pathway's has no other end."""

    lake: Lake
    producer: Producer
    topic: str
    left: int
    alerts: int = 0
    began: float = field(default_factory=time.monotonic)
    _committed: float = field(default_factory=time.monotonic)
    _closed: dict[str, int] = field(default_factory=dict)

    def store(self, key: object, row: dict[str, Any], time: int, is_addition: bool) -> None:
        """A judged record."""
        where, record = row["_metadata"].value, row["record"].value
        place = Place(where["partition"], where["offset"], where["timestamp_millis"])
        self.left -= 1
        if record is None:
            self.lake.refuse(place, row["data"])
        else:
            self.lake.add(place, record)

    def send(self, key: object, row: dict[str, Any], time: int, is_addition: bool) -> None:
        """An account's new state; the old one comes too, as a deletion."""
        for alert in row["state"][1] if is_addition else ():
            self.alerts += 1
            self.producer.produce(self.topic, alert, key=row["account"])

    def close(self, output: str, batch: int) -> None:
        """The end of a batch in one of the two outputs; what both have is committed."""
        self._closed[output] = batch
        if set(self._closed.values()) != {batch} or len(self._closed) < 2:
            return
        if not self.left or time.monotonic() - self._committed > _COMMIT_SECONDS:
            self.producer.flush()
            self.lake.commit()
            self._committed = time.monotonic()
        if not self.left:
            seconds = time.monotonic() - self.began
            done = Result(
                f"Pathway {version('pathway')}", _GUARANTEE, seconds, self.lake.valid, self.lake.refused, self.alerts
            )
            sys.stdout.write(done.to_json())
            sys.stdout.flush()
            os._exit(0)


def run(addresses: Addresses, persistence: str) -> None:
    """Does all the work there is, prints the result and ends the process."""
    judge, rules, topics = Judge(), Rules(), make_topics(addresses, "pathway")

    @pw.udf(deterministic=True)
    def judged(payload: bytes | None) -> pw.PyObjectWrapper:
        return pw.PyObjectWrapper(judge(payload))

    @pw.reducers.stateful_many
    def alerts_of(state: State | None, rows: list[tuple[list[Any], int]]) -> State:
        past = no_past()
        past.extend(state[0] if state else ())
        ordered = sorted(rows, key=lambda row: row[0][1])
        found = [alert for (record, _), _ in ordered for alert in rules.alerts(record.value, past)]
        return tuple(past), tuple(map(orjson.dumps, found))

    settings = {**addresses.kafka.librdkafka(), "group.id": "peer-pathway", "auto.offset.reset": "earliest"}
    raw = pw.io.kafka.read(
        settings, names.RAW_TOPIC, format="raw", autogenerate_key=True, with_metadata=True,
        autocommit_duration_ms=_BATCH_MS, name="raw",
    )  # fmt: skip
    fates = raw.select(pw.this.data, pw.this._metadata, record=judged(pw.this.data))
    is_valid = pw.apply_with_type(lambda record: record.value is not None, bool, pw.this.record)
    refused, valid = fates.filter(~is_valid), fates.filter(is_valid)
    # Its writer knows no message without a value.
    letters = refused.select(data=pw.coalesce(pw.this.data, b""))
    pw.io.kafka.write(letters, {**addresses.kafka.librdkafka()}, topics.dead_letters, format="raw")
    states = (
        valid.select(
            pw.this.record,
            account=pw.apply_with_type(lambda record: record.value["account_id"], str, pw.this.record),
            offset=pw.this._metadata["offset"].as_int(),
        )
        .groupby(pw.this.account)
        .reduce(pw.this.account, state=alerts_of(pw.this.record, pw.this.offset))
    )
    producer = Producer({**addresses.kafka.librdkafka(), "linger.ms": 1, "acks": "all", "compression.type": "lz4"})
    outputs = _Outputs(Lake.make(addresses), producer, topics.alerts, left=sum(ends_of(addresses).values()))
    pw.io.subscribe(fates, outputs.store, on_time_end=lambda batch: outputs.close("rows", batch))
    pw.io.subscribe(states, outputs.send, on_time_end=lambda batch: outputs.close("alerts", batch))
    store = pw.persistence.Backend.filesystem(persistence)
    kept = pw.persistence.Config(store, snapshot_interval_ms=_SNAPSHOT_MS)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, persistence_config=kept)


if __name__ == "__main__":
    run(Addresses.from_environment(), sys.argv[1])
