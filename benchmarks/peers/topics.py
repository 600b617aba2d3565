"""What a peer finds in the broker and makes there."""

from dataclasses import dataclass

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from contracts.addresses import Addresses


@dataclass(frozen=True)
class PeerTopics:
    """Names of the topics that are one peer's own."""

    alerts: str
    dead_letters: str


def make_topics(addresses: Addresses, peer: str) -> PeerTopics:
    """Makes them, with as many partitions as the raw topic."""
    topics = PeerTopics(f"peer-{peer}.alerts", f"peer-{peer}.dead-letter")
    wanted = [NewTopic(topic, num_partitions=2, replication_factor=1) for topic in (topics.alerts, topics.dead_letters)]
    admin = AdminClient({**addresses.kafka.librdkafka()})  # without a name it would be gone before its answers come
    for made in admin.create_topics(wanted).values():
        made.result(timeout=30)
    return topics
