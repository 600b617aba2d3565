"""The peer without a framework: a loop of confluent-kafka and PyIceberg, `python -m benchmarks.peers.plain`.

It reads the raw topic from its beginning to the end it finds there, sends alerts and dead letters to topics of its own,
adds rows to the tables every 5 s, and then commits its offsets. Prints its `Result` as JSON.
"""

import sys
import time

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.peers.result import Result
from benchmarks.peers.work import Judge, Rows, Rules
from contracts import names, tables
from contracts.addresses import Addresses
from lake.catalog import open_catalog
from lake.tables import create_tables

GUARANTEE = (
    "rows at least once: after a crash the last 5 s are added again; alerts at least once; the velocity rule forgets "
    "every account"
)
_ALERTS, _DEAD_LETTERS = "peer-plain.alerts", "peer-plain.dead-letter"
_COMMIT_SECONDS = 5.0
_BATCH = 10_000


def run(addresses: Addresses) -> Result:
    """Does all the work there is."""
    judge, rules, rows = Judge(), Rules(), Rows()
    consumer = Consumer(
        {**addresses.kafka.librdkafka(), "group.id": "peer-plain", "enable.auto.commit": False}
    )  # fmt: skip
    _make_topics(addresses)
    producer = Producer({**addresses.kafka.librdkafka(), "linger.ms": 1, "acks": "all", "compression.type": "lz4"})
    partitions = consumer.list_topics(names.RAW_TOPIC, timeout=10).topics[names.RAW_TOPIC].partitions
    ends = {
        part: consumer.get_watermark_offsets(TopicPartition(names.RAW_TOPIC, part), timeout=10)[1]
        for part in partitions
    }
    consumer.assign([TopicPartition(names.RAW_TOPIC, part, 0) for part in ends])
    valid = refused = alerts = 0
    with open_catalog(addresses) as catalog:
        create_tables(catalog)
        began = committed = time.monotonic()
        left = sum(ends.values())
        while left:
            for message in consumer.consume(_BATCH, timeout=0.2):
                if problem := message.error():
                    raise SystemExit(str(problem))
                left -= 1
                payload = message.value()
                place = (message.partition() or 0, message.offset() or 0)
                record = judge(payload)
                if record is None:
                    refused += 1
                    rows.refused.append((*place, payload))
                    producer.produce(_DEAD_LETTERS, payload)
                    continue
                valid += 1
                rows.valid.append(record)
                rows.places.append((*place, message.timestamp()[1]))
                for alert in rules.alerts(record):
                    alerts += 1
                    producer.produce(_ALERTS, orjson.dumps(alert), key=record["account_id"])
            producer.poll(0)
            if not left or time.monotonic() - committed > _COMMIT_SECONDS:
                producer.flush()
                if rows.valid:
                    table = catalog.load_table(tables.transactions().identifier)
                    table.append(rows.of_transactions(table))
                if rows.refused:
                    table = catalog.load_table(tables.dead_letters().identifier)
                    table.append(rows.of_dead_letters(table))
                consumer.commit(asynchronous=False)
                rows, committed = Rows(), time.monotonic()
    seconds = time.monotonic() - began
    consumer.close()
    return Result("confluent-kafka and PyIceberg", GUARANTEE, seconds, valid, refused, alerts)


def _make_topics(addresses: Addresses) -> None:
    wanted = [NewTopic(topic, num_partitions=2, replication_factor=1) for topic in (_ALERTS, _DEAD_LETTERS)]
    admin = AdminClient({**addresses.kafka.librdkafka()})  # without a name it would be gone before its answers come
    for made in admin.create_topics(wanted).values():
        made.result(timeout=30)


if __name__ == "__main__":
    sys.stdout.write(run(Addresses.from_environment()).to_json())
