"""A whole run against a producer without a broker."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from structlog.testing import capture_logs

from contracts.kafka_access import KafkaAccess
from generator.config import DisturbancesConfig, GeneratorConfig
from generator.health import HealthFile, Reading
from generator.ledger import Ledger
from generator.population import Shard
from generator.producer import producer_settings
from generator.progress import Status
from generator.publisher import Publisher
from generator.run import Run, Stop, batch_size
from generator.seasons import Surges
from generator.timeline import Simulated, Timeline, WallClock
from generator.traffic import SCENARIOS, Batch, Traffic
from tests.fake_producer import FakeMetadata, FakeProducer
from tests.generated import NOON, at_ms, quiet


class Clock:
    """Time of day that goes on by `step` seconds at every look."""

    def __init__(self, step: float = 0.001) -> None:
        self.now, self._step = NOON.timestamp(), step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def _run(
    folder: Path,
    producer: FakeProducer,
    *,
    stop: Stop | None = None,
    clock: Callable[[], float] | None = None,
    config: GeneratorConfig | None = None,
    timeline: Timeline | None = None,
    **more: Any,
) -> Run:
    config = config or GeneratorConfig.model_validate({"rate_per_second": 10, "disturbances": {"malformed_percent": 5}})
    stop, clock = stop or Stop(), clock or Clock()
    ledger = Ledger(folder, config.ledger, run="run")
    publisher = Publisher(
        producer_settings(KafkaAccess("localhost:1"), rate=10),
        "topic",
        settle=ledger.settle,
        stopping=stop,
        connect=producer.connect,
    )
    more = {"paced": False, **more}
    return Run(
        Traffic(config, seed=1), timeline or WallClock(100, clock=clock), publisher, ledger, Status(publisher.counts),
        stop, config, clock=clock, sleep=lambda seconds: None, **more,
    )  # fmt: skip


def _ledger(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.iterdir()))


def _simulated(seed: int = 1, end_ms: int | None = None) -> Simulated:
    return Simulated(at_ms(NOON), 10, Surges(DisturbancesConfig()), np.random.default_rng(seed), end_ms=end_ms)


def test_run_limit_sends_exactly_so_many_and_the_ledger_has_them_all(tmp_path: Path, producer: FakeProducer) -> None:
    with capture_logs() as logs:
        counts = _run(tmp_path, producer).until(1234)
    assert counts.sent == counts.ok == len(producer.records) == 1234
    rows = _ledger(tmp_path).to_pylist()
    places = list(zip(producer.partitions, producer.offsets(), strict=True))
    sent = dict(zip(places, producer.records, strict=True))
    for row in rows:
        _, key, value = sent.pop((row["partition"], row["offset"]))
        assert row["account_id"].encode() == key
        assert row["transaction_id"] is None or row["transaction_id"].encode() in (value or b"")
    assert not sent
    assert logs[-1]["event"] == "stopped"
    assert (logs[-1]["sent"], logs[-1]["failed"]) == (1234, 0)


def test_run_labels_never_travel_in_the_record(tmp_path: Path, producer: FakeProducer) -> None:
    _run(tmp_path, producer).until(2000)
    sent = b"".join((key + (value or b"")) for _, key, value in producer.records)
    labels = set(_ledger(tmp_path)["scenario"].to_pylist())
    assert set(SCENARIOS) == labels
    assert not [label for label in labels if label.encode() in sent]


def test_run_simulated_twice_with_one_seed_sends_the_same_bytes_and_the_records_are_of_then(
    tmp_path: Path,
) -> None:
    sent = []
    for attempt, clock in enumerate((Clock(0.001), Clock(7.7))):
        producer = FakeProducer()
        config = GeneratorConfig.model_validate({"disturbances": {"duplicate_percent": 1}})
        run = _run(tmp_path / str(attempt), producer, config=config, timeline=_simulated(), clock=clock)
        run.until(5000)
        sent.append(list(zip(producer.partitions, producer.records, strict=True)))
    assert sent[0] == sent[1]
    times = _ledger(tmp_path / "0")["event_time"].to_pylist()
    assert (times[-1] - NOON).total_seconds() > 300


def test_run_simulated_ends_with_its_time(tmp_path: Path, producer: FakeProducer) -> None:
    counts = _run(tmp_path, producer, timeline=_simulated(end_ms=at_ms(NOON) + 600_000)).until()
    # At noon UTC more is spent than on average: 10 records a second is a week's mean.
    assert 6000 < counts.ok < 12_000
    assert max(_ledger(tmp_path)["event_time"].to_pylist()).timestamp() < NOON.timestamp() + 601


def test_run_stop_while_the_broker_is_away_ends_and_tells_what_is_unknown(
    tmp_path: Path, producer: FakeProducer
) -> None:
    stop = Stop()
    producer.away, producer.room = True, 50
    metadata = FakeMetadata({"topic": producer.topic})
    producer.list_topics = lambda topic, /, *, timeout: metadata  # type: ignore[method-assign]
    run = _run(tmp_path, producer, stop=stop, config=quiet(rate_per_second=100))
    poll = producer.poll

    def ask_to_stop(timeout: float, /) -> int:
        if len(producer) == producer.room:
            stop.request()
        return poll(timeout)

    producer.poll = ask_to_stop  # type: ignore[method-assign]
    counts = run.until()
    assert (counts.ok, counts.unknown) == (0, 50)
    outcomes = _ledger(tmp_path)["outcome"].to_pylist()
    assert outcomes.count("unknown") == 50
    assert outcomes.count("failed") == counts.failed == len(outcomes) - 50 > 0


def test_run_open_circuit_sends_nothing_new_until_it_closes(tmp_path: Path, producer: FakeProducer) -> None:
    run = _run(tmp_path, producer)
    answers = iter([True, True, True, *[False] * 20])
    asked = 0

    def allows() -> bool:
        nonlocal asked
        asked += 1
        allowed = next(answers, True)
        if not allowed:
            assert len(producer.records) == sent_before
        return allowed

    run.publisher.circuit.allows = allows  # type: ignore[method-assign]
    sent_before = 10
    assert run.until(200).ok == 200
    assert asked > 22


def test_run_batch_that_waited_too_long_is_drawn_anew(tmp_path: Path, producer: FakeProducer) -> None:
    # Each look at the clock is a minute later: no batch is ever fresh, so nothing drawn for another hour is sent.
    stop = Stop()
    looks = 0

    class Slow(Clock):
        def __call__(self) -> float:
            nonlocal looks
            looks += 1
            if looks > 20:
                stop.request()
            return super().__call__()

    counts = _run(tmp_path, producer, stop=stop, clock=Slow(60)).until()
    assert counts.sent == 0


def test_run_open_circuit_draws_nothing_however_long(tmp_path: Path, producer: FakeProducer) -> None:
    # Each look at the clock is a second later, so the circuit is open for ten times as long as a batch holds.
    clock = Clock(1)
    run = _run(tmp_path, producer, clock=clock)
    drawn = _drawn(run)
    opens = clock.now + 20
    run.publisher.circuit.allows = lambda: not opens < clock() < opens + 300  # type: ignore[method-assign]
    assert run.until(300).ok == 300
    assert sum(drawn) - 300 <= 2 * run._batch_size


def test_run_pause_draws_nothing_however_long(tmp_path: Path, producer: FakeProducer) -> None:
    config = quiet(rate_per_second=10, disturbances={"pauses": {"every_seconds": 600, "seconds": 500}})
    clock = Clock(1)
    run = _run(tmp_path, producer, config=config, clock=clock)
    run.pace._sleep = lambda seconds: None  # type: ignore[attr-defined]
    drawn = _drawn(run)
    assert run.until(3000).ok == 3000
    assert clock.now - NOON.timestamp() > 1100
    assert sum(drawn) - 3000 <= 2 * run._batch_size


def _drawn(run: Run) -> list[int]:
    """How many records each batch has that is drawn from now on."""
    drawn, draw = [], run.traffic.batch

    def batch(times_ms: NDArray[np.int64]) -> Batch:
        drawn.append(len(times_ms))
        return draw(times_ms)

    run.traffic.batch = batch  # type: ignore[method-assign]
    return drawn


def test_run_edit_takes_effect_with_the_next_batch(tmp_path: Path, producer: FakeProducer) -> None:
    edits = iter([None, quiet(rate_per_second=10, disturbances={"malformed_percent": 50})])
    run = _run(tmp_path, producer, config=quiet(rate_per_second=10), edits=lambda: next(edits, None))
    run.until(40)
    assert not [row for row in _ledger(tmp_path).to_pylist()[:10] if row["expected"] == "malformed"]
    assert [row for row in _ledger(tmp_path).to_pylist()[10:] if row["expected"] == "malformed"]


def test_run_edit_of_the_rate_is_the_wanted_one_from_then_on(tmp_path: Path, producer: FakeProducer) -> None:
    edits = iter([None, quiet(rate_per_second=60)])
    run = _run(
        tmp_path / "ledger", producer, config=quiet(rate_per_second=10), edits=lambda: next(edits, None), shards=2
    )
    run.health = HealthFile(tmp_path / "health.json", run.publisher, wanted_rate=5)
    run.until(40)
    said = Reading.read(tmp_path / "health.json")
    assert said is not None
    assert said.wanted_rate_per_second == 30


def test_run_pause_sends_nothing_while_it_lasts(tmp_path: Path, producer: FakeProducer) -> None:
    config = quiet(rate_per_second=0, disturbances={"pauses": {"every_seconds": 60, "seconds": 20}})
    clock = Clock(0.5)
    run = _run(tmp_path, producer, config=config, clock=clock, timeline=WallClock(100, clock=clock), paced=True)
    run.pace._sleep = lambda seconds: None  # type: ignore[attr-defined]
    began = clock.now
    run.until(300_000)
    seconds = {round(row.timestamp() - began) for row in _ledger(tmp_path)["sent_at"].to_pylist()}
    assert max(seconds) > 130
    # A chunk is stamped up to four looks at the clock after the pace was asked.
    assert not [second for second in seconds if second > 60 and 3 < second % 60 < 19]


def test_run_shards_share_the_rate(tmp_path: Path, producer: FakeProducer) -> None:
    config = quiet(rate_per_second=1000)
    whole = _run(tmp_path / "1", producer, config=config)
    part = _run(tmp_path / "2", producer, config=config, shards=4)
    assert (whole._batch_size, part._batch_size) == (1000, 250)
    assert Traffic(config, seed=1, shard=Shard(3, 4)).population.country.shape == (65_000,)


def test_stop_process_whose_parent_died_wishes_to_end() -> None:
    assert not Stop(parent=os.getppid())()
    assert Stop(parent=os.getppid() + 1)()
    assert not Stop()()


def test_batch_size_is_a_second_of_traffic_or_five_simulated_minutes_within_bounds() -> None:
    assert [batch_size(rate) for rate in (0.1, 10, 1000, 1_000_000, 0)] == [1, 10, 1000, 8192, 8192]
    assert [batch_size(rate, simulated=True) for rate in (0.1, 10, 1000)] == [30, 3000, 8192]
