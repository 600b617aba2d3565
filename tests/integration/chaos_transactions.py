"""A producer of transactions in the mixture: committed, given up, and left open until the broker ends them.

One transaction at a time, in one partition. Readers wait for its end, so good records behind it are late by as much.
What has piled up behind one that was left open comes all at once at its end: 7,500 records if a flood came meanwhile,
which take a second or two, and records of the other partition come after them.
"""

import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from random import Random

import tenacity
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from contracts import names
from contracts.addresses import Addresses
from tests.chaos_kinds import NOWHERE
from tests.chaos_records import of_transactions
from tests.integration.chaos_traffic import NOTED, Good, Notes

COMMITTED, GIVEN_UP, LEFT_OPEN = "committed", "given up", "left open"
_PARTITIONS = 2
_PLACE = NOTED.names.index("place")
_CATCH_UP_SECONDS = 2
_ANSWER_SECONDS = 30
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Span:
    """Time during which readers could not pass the transaction in this partition, by the clock of the test."""

    how: str
    partition: int
    began: float
    ended: float

    def holds(self, good: Good) -> bool:
        """Tell whether the record was sent behind the open transaction, or behind what had piled up."""
        if self.how == LEFT_OPEN and self.ended < good.sent <= self.ended + _CATCH_UP_SECONDS:
            return True
        return good.partition == self.partition and self.began <= good.sent <= self.ended


class Transactions:
    """Makes one transaction after the other until it is over."""

    def __init__(self, addresses: Addresses, seed: int) -> None:
        self.over = threading.Event()
        self.spans: list[Span] = []
        self.notes = Notes()
        self._addresses = addresses
        self._random, self._records = Random(f"ends {seed}"), of_transactions(seed)
        self._admin = AdminClient({**addresses.kafka.librdkafka(), "log_level": 0})

    def run(self) -> None:
        for how in cycle((COMMITTED, LEFT_OPEN, GIVEN_UP)):
            if self.over.wait(self._random.uniform(0.5, 2)):
                return
            partition, began = self._random.randrange(_PARTITIONS), time.monotonic()
            last = self._transaction(how, partition)
            self._await_end(partition, last)
            self.spans.append(Span(how, partition, began, time.monotonic()))

    def _transaction(self, how: str, partition: int) -> int:
        """Return the offset of its last record; left open, the broker ends it after 3 to 5 s."""
        settings = {"transactional.id": "mixture", "transaction.timeout.ms": self._random.randint(3, 5) * 1_000}
        producer = Producer({**self._addresses.kafka.librdkafka(), **settings, "log_level": 0})
        producer.init_transactions(_ANSWER_SECONDS)
        producer.begin_transaction()
        for record in islice(self._records, self._random.randint(20, 200)):
            noted = record if how == COMMITTED else replace(record, kind=f"{record.kind}, {how}", fate=NOWHERE)
            report = partial(self.notes.take, noted)
            producer.produce(names.RAW_TOPIC, record.value, partition=partition, on_delivery=report)
        assert producer.flush(_ANSWER_SECONDS) == 0
        if how == COMMITTED:
            producer.commit_transaction(_ANSWER_SECONDS)
        elif how == GIVEN_UP:
            producer.abort_transaction(_ANSWER_SECONDS)
        return int(self.notes.rows[-1][_PLACE])

    def _await_end(self, partition: int, last: int) -> None:
        """Return when a reader of committed records can read beyond `last`."""
        look = tenacity.Retrying(
            wait=tenacity.wait_fixed(_LOOK_SECONDS),
            stop=tenacity.stop_after_delay(_ANSWER_SECONDS),
            retry=tenacity.retry_if_result(lambda readable: readable <= last),
        )
        look(self._readable, partition)

    def _readable(self, partition: int) -> int:
        place = TopicPartition(names.RAW_TOPIC, partition)
        committed = IsolationLevel.READ_COMMITTED
        end = OffsetSpec.latest()
        (future,) = self._admin.list_offsets({place: end}, isolation_level=committed).values()
        return int(future.result().offset)
