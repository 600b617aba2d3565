"""The peer without a framework: a loop of confluent-kafka and PyIceberg, `python -m benchmarks.peers.plain`.

It reads the raw topic from its beginning to the end it finds there, sends alerts and dead letters to topics of its own,
adds rows to the tables every 5 s, and then commits its offsets. Prints its `Result` as JSON.
"""

import sys
import time
from collections import defaultdict

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.harness import ends_of
from benchmarks.peers.result import Result
from benchmarks.peers.topics import make_topics
from benchmarks.peers.work import Judge, Lake, Past, Place, Rules, no_past
from contracts import names
from contracts.addresses import Addresses

_GUARANTEE = (
    "rows at least once: after a crash the last 5 s are added again; alerts at least once; the velocity rule forgets "
    "every account"
)
_COMMIT_SECONDS, _BATCH = 5.0, 10_000


def run(addresses: Addresses) -> Result:
    """Does all the work there is."""
    judge, rules, lake = Judge(), Rules(), Lake.make(addresses)
    pasts: defaultdict[str, Past] = defaultdict(no_past)
    topics, ends = make_topics(addresses, "plain"), ends_of(addresses)
    consumer = Consumer({**addresses.kafka.librdkafka(), "group.id": "peer-plain", "enable.auto.commit": False})
    producer = Producer({**addresses.kafka.librdkafka(), "linger.ms": 1, "acks": "all", "compression.type": "lz4"})
    consumer.assign([TopicPartition(names.RAW_TOPIC, part, 0) for part in ends])
    alerts, left = 0, sum(ends.values())
    began = committed = time.monotonic()
    while left:
        for message in consumer.consume(_BATCH, timeout=0.2):
            if problem := message.error():
                raise SystemExit(str(problem))
            left -= 1
            payload = message.value()
            place = Place(message.partition() or 0, message.offset() or 0, message.timestamp()[1])
            record = judge(payload)
            if record is None:
                lake.refuse(place, payload)
                producer.produce(topics.dead_letters, payload)
                continue
            lake.add(place, record)
            for alert in rules.alerts(record, pasts[record["account_id"]]):
                alerts += 1
                producer.produce(topics.alerts, orjson.dumps(alert), key=record["account_id"])
        producer.poll(0)
        if not left or time.monotonic() - committed > _COMMIT_SECONDS:
            producer.flush()
            lake.commit()
            consumer.commit(asynchronous=False)
            committed = time.monotonic()
    seconds = time.monotonic() - began
    consumer.close()
    return Result("confluent-kafka and PyIceberg", _GUARANTEE, seconds, lake.valid, lake.refused, alerts)


if __name__ == "__main__":
    sys.stdout.write(run(Addresses.from_environment()).to_json())
