"""Drives the mixture of `tests/chaos_records.py` through a running pipeline, and asks what became of each record."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from contracts import names
from contracts.addresses import Addresses
from lake.duck import STORED
from pipeline_assets.lib.kafka_offsets import topic_offsets
from tests.chaos_kinds import NOWHERE, Foreign
from tests.chaos_records import flood, mixture
from tests.integration import accounting
from tests.integration.chaos_traffic import Good, GoodTraffic, Listener, Notes, Sender
from tests.integration.chaos_transactions import Span, Transactions

# Records a second: of the mixture, of a flood that comes for 10 of every 30 s, and of good traffic.
RATE, FLOOD_RATE, GOOD_RATE = 300, 3_000, 20
_PERIOD, _FLOOD_AFTER, _FLOOD_SECONDS = 30, 10, 10
_STEP = 0.01
_OURS_AGAIN_SECONDS = 2
_ALERT_SECONDS, _CATCH_UP_SECONDS = 60, 150

Ends = Mapping[str, Mapping[int, int]]
"""Offset of the next record, by topic and partition."""


@dataclass(frozen=True)
class Sent:
    """All that was sent, from the places `begin` on: foreign and good records, and the spans of open transactions."""

    begin: Ends
    records: pa.Table
    refused: Counter[str]
    good: list[Good]
    heard: Mapping[str, float]
    spans: list[Span]

    def delays(self) -> tuple[list[float], list[float]]:
        """Return, sorted, the seconds from the sending of good records to their alerts, if nothing held them up; and
        from the end of the transaction to the alerts of those that waited behind one, or behind what it had held up.
        """
        free, held = [], []
        for good in self.good:
            heard = self.heard.get(good.transaction_id, float("inf"))
            span = next((span for span in self.spans if span.holds(good)), None)
            if span is None:
                free.append(heard - good.sent)
            else:
                held.append(heard - span.ended)
        return sorted(free), sorted(held)


def ends(addresses: Addresses) -> Ends:
    """Return how far the topics reach."""
    return {found.topic: found.ends for found in topic_offsets(addresses.kafka, names.TOPICS, timeout=20)}


def send_mixture(addresses: Addresses, *, seed: int, seconds: float) -> Sent:
    """Send everything for so long; return when the alert of every good record was heard, or after a minute."""
    begin, notes = ends(addresses), Notes()
    listener, transactions = Listener(addresses), Transactions(addresses, seed)
    sender, good = Sender(addresses, notes), GoodTraffic(addresses, notes)
    listener.start()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(transactions.run)
        try:
            _send(sender, good, listener, seed=seed, seconds=seconds)
        finally:
            transactions.over.set()
        running.result(timeout=60)
    sender.end()
    good.end()
    with suppress(AssertionError):  # which ones are missing is for the tests to say
        accounting.eventually(lambda: len(listener.heard) >= len(good.sent), "", seconds=_ALERT_SECONDS)
    listener.over.set()
    both = pa.concat_tables([notes.table(), transactions.notes.table()])
    return Sent(begin, both, notes.refused, good.sent, listener.heard, transactions.spans)


def _send(sender: Sender, good: GoodTraffic, listener: Listener, *, seed: int, seconds: float) -> None:
    foreign, many = mixture(seed), flood(seed)
    started = time.monotonic()
    sent, flooded, well, again = 0, 0, 0, _OURS_AGAIN_SECONDS
    while (elapsed := time.monotonic() - started) < seconds:
        while sent < elapsed * RATE:
            sender.send(next(foreign))
            sent += 1
        while flooded < _flood_seconds(elapsed) * FLOOD_RATE:
            sender.send(next(many))
            flooded += 1
        while well < elapsed * GOOD_RATE:
            good.send()
            well += 1
        if elapsed > again and listener.newest:
            partition, value = listener.newest
            kind, topic = "our alert again", names.ALERT_TOPIC
            sender.send(Foreign(kind=kind, value=value, fate=NOWHERE, topic=topic, partition=partition))
            again += _OURS_AGAIN_SECONDS
        sender.poll()
        good.wait(_STEP)


def _flood_seconds(elapsed: float) -> float:
    """Return how many of the seconds so far were of a flood."""
    whole, rest = divmod(elapsed, _PERIOD)
    return whole * _FLOOD_SECONDS + min(max(rest - _FLOOD_AFTER, 0), _FLOOD_SECONDS)


# Rows as they are stored: the view of alerts shows one that is stored twice once.
_FOUND = f"""
found AS (
  SELECT kafka_topic AS topic, kafka_partition AS part, kafka_offset AS place, 'stored' AS fate,
    NULL AS digest, merchant_name AS name, event_time AS moment, replayed_from AS pointer FROM transactions
  UNION ALL
  SELECT kafka_topic, kafka_partition, kafka_offset, 'stored', NULL, NULL, NULL, NULL FROM {STORED}.alerts
  UNION ALL
  SELECT topic, "partition", "offset", reason_code,
    sha256(CASE payload_encoding WHEN 'base64' THEN from_base64(payload) ELSE encode(payload) END),
    NULL, NULL, replayed_from FROM dead_letters
), since AS (
  SELECT found.* FROM found JOIN begins USING (topic, part) WHERE place >= begins.first
)"""

# What is no JSON may have too many brackets as well. Alerts of the pipeline itself were not sent from here.
_WRONG = f"""
WITH {_FOUND}
SELECT coalesce(sent.kind, 'not sent') AS kind, topic, part, place, sent.fate AS expected, since.fate AS found,
  sent.name, since.name AS found_name
FROM since FULL JOIN sent USING (topic, part, place)
WHERE NOT CASE
  WHEN sent.kind IS NULL THEN topic = '{names.ALERT_TOPIC}' AND since.fate = 'stored'
  WHEN sent.fate = '{NOWHERE}' THEN since.fate IS NULL
  WHEN since.fate IS NULL THEN FALSE
  WHEN since.fate = 'stored' AND topic = '{names.ALERT_TOPIC}' THEN sent.fate = 'stored'
  WHEN since.fate = 'stored' THEN sent.fate = 'stored' AND since.name = sent.name AND since.moment = sent.moment
    AND since.pointer IS NOT DISTINCT FROM sent.pointer
  ELSE since.digest IS NOT DISTINCT FROM sent.digest
    AND (since.fate = sent.fate OR sent.fate = 'malformed_json' AND since.fate = 'too_large')
END"""
_COUNTED = f"""
WITH {_FOUND}
SELECT count(*) AS rows, count(DISTINCT (topic, part, place)) AS places,
  count(*) FILTER (fate <> 'stored') AS dead_letters, (SELECT count(*) FROM sent WHERE fate <> '{NOWHERE}') AS owed
FROM since SEMI JOIN sent USING (topic, part, place)"""


def _tables(sent: Sent) -> dict[str, pa.Table]:
    begins = [
        {"topic": topic, "part": part, "first": first}
        for topic, parts in sent.begin.items()
        for part, first in parts.items()
    ]
    return {"sent": sent.records, "begins": pa.Table.from_pylist(begins)}


def counted(addresses: Addresses, sent: Sent) -> dict[str, Any]:
    """Return how many rows the records have by now, how many places these name, and how many are owed one."""
    (row,) = accounting.ask(addresses, _COUNTED, **_tables(sent)).to_pylist()
    return dict(row)


def await_stored(addresses: Addresses, sent: Sent) -> None:
    """Return when as many records have a row as are owed one, or after a while: which are missing is told elsewhere."""

    def arrived() -> bool:
        found = counted(addresses, sent)
        return bool(found["places"] >= found["owed"])

    with suppress(AssertionError):
        accounting.eventually(arrived, "", seconds=_CATCH_UP_SECONDS)


def wrong_fates(addresses: Addresses, sent: Sent) -> Iterator[dict[str, Any]]:
    """Yield the records, or rows of none, that became something else than they must."""
    yield from accounting.ask(addresses, _WRONG, **_tables(sent)).to_pylist()
