"""How records are sent: librdkafka's settings, for the generator and for replayed dead letters."""

from contracts.kafka_access import KafkaAccess

# Ten minutes without a broker must cost nothing: an hour of retries. The queue's bounds keep memory flat meanwhile.
_DELIVERY_TIMEOUT_MS = 3_600_000
_QUEUE_RECORDS, _QUEUE_KILOBYTES = 100_000, 65_536
# Above this rate records fill a batch by themselves within a few ms, and fewer requests leave the broker more room.
_HIGH_RATE = 1_000


def producer_settings(kafka: KafkaAccess, *, rate: float) -> dict[str, str | int | bool]:
    """librdkafka's settings for `rate` records a second (0: unlimited)."""
    return {
        **kafka.librdkafka(),
        "client.id": "generator",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 1 if 0 < rate <= _HIGH_RATE else 5,
        "compression.type": "lz4",
        # The hash of Java clients (librdkafka's own default is CRC32): whoever else produces to the topic puts an
        # account's records into the same partition, where their order is kept. See generator/partitions.py.
        "partitioner": "murmur2_random",
        "delivery.timeout.ms": _DELIVERY_TIMEOUT_MS,
        "queue.buffering.max.messages": _QUEUE_RECORDS,
        "queue.buffering.max.kbytes": _QUEUE_KILOBYTES,
        # A request that failed is repeated, and a lost connection opened, after waits that double up to the maximum,
        # each with librdkafka's jitter of 20 %. Its own 10 s between connections would hold back the end of an outage.
        "retry.backoff.ms": 100,
        "retry.backoff.max.ms": 1_000,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 5_000,
        "log_level": 0,  # librdkafka writes plain text to stderr; what matters comes through error_cb
    }
