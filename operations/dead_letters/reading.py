"""Reads the tables: which records were refused, and which rows repair one. Nothing is decided here."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import QueryError
from contracts.positions import Position
from lake.duck import connect_to
from lake.locations import metadata_locations
from operations.dead_letters.payloads import Payload

_FACTS = 'topic, "partition", "offset", reason_code, message, failed_at, replayed_from'
_CHOSEN = "($reason IS NULL OR reason_code = $reason) AND ($since IS NULL OR failed_at >= $since)"
_PLACE = """topic || '/' || "partition" || '/' || "offset\""""
_OPEN = f"""{_PLACE} NOT IN (SELECT unnest($replayed::VARCHAR[]))
    AND {_PLACE} NOT IN (SELECT replayed_from FROM transactions WHERE replayed_from IS NOT NULL)
    AND {_PLACE} NOT IN (SELECT replayed_from FROM dead_letters WHERE replayed_from IS NOT NULL)"""
# Payloads may have megabytes each: few at a time.
_PAGE = 20


@dataclass(frozen=True)
class DeadLetter:
    """A refused record. `payload` is None where it was not asked for."""

    position: Position
    reason_code: str
    message: str
    failed_at: datetime
    replayed_from: str | None
    payload: Payload | None = None


@dataclass(frozen=True)
class Chosen:
    """Which dead letters are meant: of this reason, refused since this time; None: any.

    `beside`, where given, are places known to be replayed: neither those are meant, nor any that a row repairs.
    """

    reason: str | None = None
    since: datetime | None = None
    beside: tuple[Position, ...] | None = None

    @property
    def condition(self) -> str:
        """As SQL over the columns of `dead_letters`."""
        return _CHOSEN if self.beside is None else f"{_CHOSEN} AND {_OPEN}"

    @property
    def parameters(self) -> dict[str, object]:
        """The values that the condition names."""
        values: dict[str, object] = {"reason": self.reason, "since": self.since}
        return values if self.beside is None else {**values, "replayed": [str(place) for place in self.beside]}


class Tables:
    """The tables as they were when they were opened."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def newest(self, chosen: Chosen, *, limit: int) -> list[DeadLetter]:
        """At most `limit` of the chosen, the newest first."""
        sql = f"""SELECT {_FACTS} FROM dead_letters WHERE {chosen.condition}
            ORDER BY failed_at DESC, topic, "partition" DESC, "offset" DESC LIMIT {limit:d}"""
        return [_letter(row) for row in self._rows(sql, chosen.parameters)]

    def by_reason(self, chosen: Chosen) -> dict[str, int]:
        """How many of the chosen there are of each reason, the most frequent first."""
        sql = f"SELECT reason_code, count(*) FROM dead_letters WHERE {chosen.condition} GROUP BY 1 ORDER BY 2 DESC, 1"
        return {str(reason): int(str(count)) for reason, count in self._rows(sql, chosen.parameters)}

    def with_payloads(self, chosen: Chosen) -> Iterator[DeadLetter]:
        """All of the chosen with their payloads, in the order of the log."""
        sql = f"""SELECT {_FACTS}, payload, payload_encoding FROM dead_letters WHERE {chosen.condition}
            ORDER BY topic, "partition", "offset" """
        return (_letter(row) for row in self._rows(sql, chosen.parameters))

    def letter(self, position: Position) -> DeadLetter | None:
        """The record refused at `position`, with its payload."""
        sql = f"""SELECT {_FACTS}, payload, payload_encoding FROM dead_letters
            WHERE topic = $topic AND "partition" = $partition AND "offset" = $offset"""
        place: dict[str, object] = {
            "topic": position.topic, "partition": position.partition, "offset": position.offset,
        }  # fmt: skip
        return next((_letter(row) for row in self._rows(sql, place)), None)

    def existing(self, positions: Collection[Position]) -> set[Position]:
        """Those of `positions` at which a record was refused."""
        sql = f"""SELECT DISTINCT topic, "partition", "offset" FROM dead_letters
            WHERE {_PLACE} IN (SELECT unnest($places::VARCHAR[]))"""
        return {_position(row) for row in self._rows(sql, {"places": [str(position) for position in positions]})}

    def replays_of(self, positions: Collection[Position]) -> dict[Position, Position]:
        """Where the record stands that repairs each, for those of which one has arrived; refused again or not."""
        sql = f"""SELECT kafka_topic, kafka_partition, kafka_offset, {names.REPLAYED_FROM} FROM transactions
            WHERE {names.REPLAYED_FROM} IN (SELECT unnest($places::VARCHAR[]))
            UNION ALL SELECT topic, "partition", "offset", {names.REPLAYED_FROM} FROM dead_letters
            WHERE {names.REPLAYED_FROM} IN (SELECT unnest($places::VARCHAR[]))
            ORDER BY 1, 2, 3 DESC"""
        rows = self._rows(sql, {"places": [str(position) for position in positions]})
        return {Position.parse(str(row[3])): _position(row) for row in rows}

    def transactions(self, ids: Collection[str]) -> dict[str, Position]:
        """Where the transactions stand that have one of these ids."""
        sql = """SELECT kafka_topic, kafka_partition, kafka_offset, transaction_id FROM transactions
            WHERE transaction_id IN (SELECT unnest($ids::VARCHAR[]))"""
        return {str(row[3]): _position(row) for row in self._rows(sql, {"ids": list(ids)})}

    def _rows(self, sql: str, parameters: dict[str, object]) -> Iterator[tuple[object, ...]]:
        try:
            answer = self._connection.cursor().execute(sql, parameters)
            while page := answer.fetchmany(_PAGE):
                yield from page
        except duckdb.Error as error:
            raise QueryError(f"the dead letters cannot be read: {error}") from error


@contextmanager
def open_tables(addresses: Addresses) -> Iterator[Tables]:
    """Open the tables of the pipeline at `addresses`, running or not. Raises NotRunning before the first ones."""
    with connect_to(metadata_locations(addresses), addresses.iceberg_warehouse) as connection:
        yield Tables(connection)


def _position(row: tuple[object, ...]) -> Position:
    return Position(str(row[0]), int(str(row[1])), int(str(row[2])))


def _letter(row: tuple[object, ...]) -> DeadLetter:
    _, _, _, reason, message, failed_at, replayed_from, *payload = row
    assert isinstance(failed_at, datetime)
    return DeadLetter(
        position=_position(row),
        reason_code=str(reason),
        message=str(message),
        failed_at=failed_at.astimezone(UTC),
        replayed_from=None if replayed_from is None else str(replayed_from),
        payload=Payload(None if payload[0] is None else str(payload[0]), str(payload[1])) if payload else None,
    )
