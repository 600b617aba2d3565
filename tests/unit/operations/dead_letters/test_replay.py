"""Once, whatever happens: replays over real tables and a real ledger, and a log that a test can cut off anywhere."""

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from contracts import names
from contracts.errors import MachineError
from contracts.positions import Position
from operations.dead_letters.ledger import Ledger, open_ledger
from operations.dead_letters.ledger import Outcome as Ended
from operations.dead_letters.raw_log import Outgoing, Report
from operations.dead_letters.reading import Tables, open_tables
from operations.dead_letters.repairs import Repair, Unreadable, judge, read_lines
from operations.dead_letters.replay import Outcome, Replay, Result, alone
from tests.lake_tables import NOW, Lake, dead_letter, lake_in, transaction


class Killed(BaseException):
    """The process ends here."""


@dataclass
class FakeLog:
    """The raw topic. A send adds `arrives` of its records (all by default), reports `reported`, and may be cut off."""

    records: list[tuple[Position, bytes]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    arrives: int | None = None
    reported: int | None = None
    killed: bool = False

    def ends(self) -> dict[int, int]:
        return {0: 5_000 + len(self.records)}

    def find(self, wanted: Collection[Position], since: Mapping[int, int]) -> dict[Position, Position]:
        first = since[0] - 5_000
        return {
            position: Position(names.RAW_TOPIC, 0, 5_000 + number)
            for number, (position, _) in enumerate(self.records)
            if position in wanted and number >= first
        }

    def send(self, records: Sequence[Outgoing], report: Report) -> None:
        for number, record in enumerate(records[: self.arrives]):
            self.records.append((record.position, record.value))
            self.keys.append(record.account_id)
            if self.reported is None or number < self.reported:
                report(record, Position(names.RAW_TOPIC, 0, 5_000 + len(self.records) - 1), "")
        if self.killed:
            raise Killed


@dataclass
class World:
    """A lake with dead letters at the offsets 0 to 9 of partition 0, a ledger and a log."""

    lake: Lake
    folder: Path
    log: FakeLog = field(default_factory=FakeLog)

    tables: Tables | None = None

    @contextmanager
    def work(self, *, dry: bool = False) -> Iterator[tuple[Replay, Ledger, Tables]]:
        with (
            nullcontext(self.tables) if self.tables else open_tables(self.lake.addresses) as tables,
            open_ledger(self.folder / "ledger.db", create=True) as ledger,
        ):
            yield Replay(tables, ledger, None if dry else self.log, "somebody", lambda: NOW), ledger, tables

    def replay(self, *repairs: Repair | Unreadable, dry: bool = False) -> list[Result]:
        """As the command does it."""
        with self.work(dry=dry) as (replay, _, _):
            replay.settle()
            return list(replay.run(repairs))

    def outcomes(self, *repairs: Repair | Unreadable) -> list[Outcome]:
        return [result.outcome for result in self.replay(*repairs)]

    def positions(self) -> list[int]:
        return [position.offset for position, _ in self.log.records]


@pytest.fixture(scope="module")
def opened(refused: Lake) -> Iterator[Tables]:
    """The tables of `refused`, opened once: half a second each time."""
    with open_tables(refused.addresses) as tables:
        yield tables


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with lake_in(tmp_path_factory.mktemp("state")) as lake:
        lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=offset) for offset in range(10)])
        yield lake


@pytest.fixture
def world(refused: Lake, opened: Tables, tmp_path: Path) -> World:
    return World(refused, tmp_path / "replays", tables=opened)


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[World]:
    """A world whose tables the test changes."""
    with lake_in(tmp_path / "state") as lake:
        lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=offset) for offset in range(10)])
        yield World(lake, tmp_path / "replays")


def payload(number: int, **other: str) -> bytes:
    record = {
        "transaction_id": str(UUID(int=number)), "timestamp": "2026-11-22T10:00:00.000Z",
        "account_id": f"ACC{number:09}", "amount": "12.50", "currency": "USD",
        "merchant_id": "MER000001", "merchant_name": "Café",
        "merchant_category": "5411", "transaction_type": "purchase", "channel": "pos", "country": "CH",
    }  # fmt: skip
    return json.dumps(record | other).encode()


def at(offset: int) -> Position:
    return Position(names.RAW_TOPIC, 0, offset)


def repair(offset: int, **other: str) -> Repair:
    return judge(at(offset), payload(offset, **other))


def test_replay_repaired_record_is_sent_as_given_with_its_account_as_key(world: World) -> None:
    (result,) = world.replay(repair(3))
    assert (result.outcome, result.replayed_as) == (Outcome.REPLAYED, at(5_000))
    assert (world.log.records, world.log.keys) == ([(at(3), payload(3))], ["ACC000000003"])


def test_replay_twice_adds_nothing_before_any_row_shows_the_first(world: World) -> None:
    world.replay(repair(3))
    (again,) = world.replay(repair(3))
    assert (again.outcome, again.replayed_as) == (Outcome.ALREADY_REPLAYED, at(5_000))
    assert world.positions() == [3]


def test_replay_again_with_another_payload_is_refused_and_named(world: World) -> None:
    world.replay(repair(3))
    (again,) = world.replay(repair(3, amount="13.00"))
    assert again.outcome is Outcome.OTHER_PAYLOAD
    assert again.message == "it was already replayed as 0/5000, with another payload; nothing was sent"
    assert world.outcomes(judge(at(3), b"{}")) == [Outcome.OTHER_PAYLOAD]
    assert world.positions() == [3]


@pytest.mark.parametrize("table", [names.TRANSACTIONS, names.DEAD_LETTERS])
def test_replay_row_that_points_back_is_enough_without_a_ledger(changing: World, table: str) -> None:
    row = (
        transaction(9, kafka_partition=1, kafka_offset=77, replayed_from=str(at(3)))
        if table == names.TRANSACTIONS
        else dead_letter(9, partition=1, offset=77, replayed_from=str(at(3)))
    )
    changing.lake.append(table, [row])
    (result,) = changing.replay(repair(3))
    assert (result.outcome, result.replayed_as) == (Outcome.ALREADY_REPLAYED, Position(names.RAW_TOPIC, 1, 77))
    assert changing.positions() == []


def test_replay_killed_after_the_send_is_found_in_the_log_and_not_sent_again(world: World) -> None:
    world.log = FakeLog(reported=0, killed=True)
    with pytest.raises(Killed):
        world.replay(repair(3))
    world.log.killed = False
    (again,) = world.replay(repair(3))
    assert (again.outcome, again.replayed_as) == (Outcome.ALREADY_REPLAYED, at(5_000))
    assert world.positions() == [3]


def test_replay_killed_before_the_send_is_sent_by_the_next(world: World) -> None:
    world.log = FakeLog(arrives=0, killed=True)
    with pytest.raises(Killed):
        world.replay(repair(3))
    world.log.arrives, world.log.killed = None, False
    assert world.outcomes(repair(3, amount="13.00")) == [Outcome.REPLAYED]
    assert world.positions() == [3]
    with world.work() as (_, ledger, _):
        assert [attempt.outcome for attempt in ledger.of(at(3))] == [Ended.ABSENT, Ended.DELIVERED]


def test_replay_killed_and_the_log_forgotten_since_is_found_in_the_table(changing: World) -> None:
    changing.log = FakeLog(reported=0, killed=True)
    with pytest.raises(Killed):
        changing.replay(repair(3))
    changing.lake.append(names.TRANSACTIONS, [transaction(9, kafka_offset=77, replayed_from=str(at(3)))])
    changing.log = FakeLog()
    (result,) = changing.replay(repair(3))
    assert (result.outcome, result.replayed_as) == (Outcome.ALREADY_REPLAYED, Position(names.RAW_TOPIC, 1, 77))
    assert changing.positions() == []
    with changing.work() as (_, ledger, _):
        assert [attempt.outcome for attempt in ledger.of(at(3))] == [Ended.DELIVERED]


def test_settle_looks_for_every_attempt_that_was_cut_off_not_only_the_one_asked_for(world: World) -> None:
    world.log = FakeLog(arrives=2, reported=0, killed=True)
    with pytest.raises(Killed):
        world.replay(repair(1), repair(2), repair(3))
    world.log = FakeLog(world.log.records, world.log.keys)
    world.replay(repair(4))
    with world.work() as (_, ledger, _):
        found = {offset: ledger.of(at(offset))[-1].outcome for offset in (1, 2, 3, 4)}
    assert found == {1: Ended.DELIVERED, 2: Ended.DELIVERED, 3: Ended.ABSENT, 4: Ended.DELIVERED}


def test_replay_send_without_an_answer_is_not_known_and_settled_by_the_next(world: World) -> None:
    world.log = FakeLog(reported=0)
    (first,) = world.replay(repair(3))
    assert first.outcome is Outcome.UNSETTLED
    assert "Run the command again" in (first.message or "")
    (dry,) = world.replay(repair(3), dry=True)
    assert dry.outcome is Outcome.UNSETTLED
    assert world.outcomes(repair(3)) == [Outcome.ALREADY_REPLAYED]
    assert world.positions() == [3]


def test_replay_any_series_of_cut_off_replays_puts_each_record_into_the_log_once(
    refused: Lake, opened: Tables, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(15):
        world = World(refused, tmp_path / str(number), tables=opened)
        for _ in range(6):
            offsets = chance.sample(range(10), chance.randint(1, 6))
            world.log.arrives = chance.choice([None, 0, 1, 3])
            world.log.reported = chance.choice([None, 0, 2])
            world.log.killed = chance.random() < 0.5
            try:
                world.replay(*(repair(offset) for offset in offsets))
            except Killed:
                continue
        world.log.arrives, world.log.reported, world.log.killed = None, None, False
        world.replay(*(repair(offset) for offset in range(10)))
        assert sorted(world.positions()) == list(range(10)), f"seed {seed}, series {number}"


def test_replay_two_at_once_send_one_record(world: World) -> None:
    def run(_: int) -> Outcome:
        with alone(world.folder / "lock"):
            return world.outcomes(repair(3))[0]

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(run, range(2))) == [Outcome.ALREADY_REPLAYED, Outcome.REPLAYED]
    assert world.positions() == [3]


def test_alone_while_another_replay_goes_on_gives_up_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.dead_letters.replay._WAIT_SECONDS", 0.01)
    with (
        alone(tmp_path / "lock"),
        ThreadPoolExecutor(1) as other,
        pytest.raises(MachineError, match="another replay is at work"),
    ):
        other.submit(lambda: alone(tmp_path / "lock").__enter__()).result()


def test_replay_still_invalid_is_refused_with_its_reason_and_the_others_are_sent(world: World) -> None:
    results = world.replay(repair(1), repair(2, currency="XTS"), judge(at(3), None), repair(4))
    assert {result.position.offset: result.outcome for result in results if result.position} == {
        1: Outcome.REPLAYED, 2: Outcome.INVALID, 3: Outcome.INVALID, 4: Outcome.REPLAYED,
    }  # fmt: skip
    refusals = {result.reason_code: result.message for result in results if result.outcome is Outcome.INVALID}
    assert set(refusals) == {"not_in_enum", "no_payload"}
    assert (refusals["not_in_enum"] or "").startswith('currency: found "XTS"')
    assert world.positions() == [1, 4]


def test_replay_where_no_record_was_refused_sends_nothing(world: World) -> None:
    elsewhere = judge(Position(names.RAW_TOPIC, 1, 3), payload(3))
    assert world.outcomes(repair(10), elsewhere) == [Outcome.UNKNOWN_POSITION] * 2
    assert world.positions() == []


def test_replay_of_a_transaction_that_is_in_the_table_is_refused(changing: World) -> None:
    changing.lake.append(names.TRANSACTIONS, [transaction(3, kafka_offset=55)])
    (result,) = changing.replay(repair(3))
    assert result.outcome is Outcome.DUPLICATE_TRANSACTION
    assert "already stands at 1/55" in (result.message or "")
    assert changing.positions() == []


def test_replay_of_one_transaction_for_two_dead_letters_sends_the_first(world: World) -> None:
    results = world.replay(repair(1), judge(at(2), payload(1)))
    assert [result.outcome for result in results] == [Outcome.REPLAYED, Outcome.DUPLICATE_TRANSACTION]
    assert "was replayed for 0/1" in (results[1].message or "")
    assert world.positions() == [1]


def test_replay_position_twice_in_a_file_sends_the_first(world: World) -> None:
    assert world.outcomes(repair(1), repair(1), repair(1, amount="9.00")) == [
        Outcome.REPLAYED, Outcome.ALREADY_REPLAYED, Outcome.OTHER_PAYLOAD,
    ]  # fmt: skip
    assert world.positions() == [1]


def test_replay_more_than_fit_one_send_all_go(changing: World) -> None:
    changing.lake.append(names.DEAD_LETTERS, [dead_letter(0, offset=offset) for offset in range(10, 1_300)])
    results = changing.replay(*(repair(offset) for offset in range(1_300)))
    assert {result.outcome for result in results} == {Outcome.REPLAYED}
    assert [result.replayed_as for result in results] == [at(5_000 + number) for number in range(1_300)]


def test_replay_dry_run_judges_and_sends_and_notes_nothing(world: World) -> None:
    results = world.replay(repair(1), repair(2, amount="free"), repair(10), dry=True)
    outcomes = {result.position.offset: result.outcome for result in results if result.position}
    assert outcomes == {1: Outcome.WOULD_REPLAY, 2: Outcome.INVALID, 10: Outcome.UNKNOWN_POSITION}
    assert world.positions() == []
    with world.work() as (_, ledger, _):
        assert ledger.of(at(1)) == []


def test_read_lines_mistakes_name_their_line_and_the_others_are_read() -> None:
    good = json.dumps(
        {"topic": names.RAW_TOPIC, "partition": 0, "offset": 1, "payload": payload(1).decode(), "state": "edited"}
    ).encode()
    lines = [good, b"", b"{", b"[]", b'{"topic":"t"}', good.replace(b'"offset": 1', b'"offset": -1')]
    lines += [b'{"topic":"t","partition":0,"offset":1,"payload":{"amount":"1.00"}}', b"\xff", b"[" * 100_000]
    found = list(read_lines(lines))
    assert isinstance(found[0], Repair)
    assert (found[0].position, found[0].value, found[0].breach) == (at(1), payload(1), None)
    assert [entry.line for entry in found if isinstance(entry, Unreadable)] == [3, 4, 5, 6, 7, 8, 9]
    said = [entry.mistake for entry in found if isinstance(entry, Unreadable)]
    assert "no partition" in said[2]
    assert "no position" in said[3]
    assert "write the JSON in quotes" in said[4]
