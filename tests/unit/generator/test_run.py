"""A whole run against a producer without a broker."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from structlog.testing import capture_logs

from generator.config import GeneratorConfig
from generator.ledger import Ledger
from generator.pace import Unlimited
from generator.publisher import Counts, Publisher, producer_settings
from generator.run import Run, Status, Stop, batch_size
from generator.traffic import Traffic
from tests.fake_producer import FakeProducer


class Clock:
    """Event time that goes on by `step` at every look."""

    def __init__(self, step: timedelta = timedelta(milliseconds=1)) -> None:
        self.now, self._step = datetime(2026, 11, 22, 12, tzinfo=UTC), step

    def __call__(self) -> datetime:
        self.now += self._step
        return self.now


def _run(folder: Path, producer: FakeProducer, *, stop: Stop | None = None, clock: Clock | None = None) -> Run:
    config = GeneratorConfig(rate_per_second=10, malformed_percent=5)
    stop = stop or Stop()
    ledger = Ledger(folder, config.ledger, run="run")
    publisher = Publisher(
        producer_settings("localhost:1", rate=10),
        "topic",
        settle=ledger.settle,
        stopping=stop,
        connect=producer.connect,
    )
    return Run(Traffic(config, seed=1), publisher, ledger, Unlimited(), stop, batch_size=100, clock=clock or Clock())


def _ledger(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.iterdir()))


def test_run_limit_sends_exactly_so_many_and_the_ledger_has_them_all(tmp_path: Path, producer: FakeProducer) -> None:
    with capture_logs() as logs:
        counts = _run(tmp_path, producer).until(1234)
    assert counts.sent == counts.ok == len(producer.records) == 1234
    rows = _ledger(tmp_path).to_pylist()
    assert [row["account_id"].encode() for row in rows] == [key for _, key, _ in producer.records]
    assert all(
        row["transaction_id"] is None or row["transaction_id"].encode() in (value or b"")
        for row, (_, _, value) in zip(rows, producer.records, strict=True)
    )
    assert logs[-1]["event"] == "stopped"
    assert (logs[-1]["sent"], logs[-1]["failed"]) == (1234, 0)


def test_run_labels_never_travel_in_the_record(tmp_path: Path, producer: FakeProducer) -> None:
    _run(tmp_path, producer).until(2000)
    sent = b"".join((key + (value or b"")) for _, key, value in producer.records)
    labels = set(_ledger(tmp_path)["scenario"].to_pylist())
    assert {"high_value", "rapid_activity", "unusual_hour"} <= labels
    assert not [label for label in labels if label.encode() in sent]


def test_run_stop_while_the_broker_is_away_ends_and_tells_what_is_unknown(
    tmp_path: Path, producer: FakeProducer
) -> None:
    stop = Stop()
    producer.away, producer.room = True, 50
    run = _run(tmp_path, producer, stop=stop)
    poll = producer.poll

    def ask_to_stop(timeout: float, /) -> int:
        if len(producer) == producer.room:
            stop.request()
        return poll(timeout)

    producer.poll = ask_to_stop  # type: ignore[method-assign]
    counts = run.until()
    assert (counts.ok, counts.unknown, counts.failed) == (0, 50, 50)
    outcomes = _ledger(tmp_path)["outcome"].to_pylist()
    assert outcomes == ["unknown"] * 50 + ["failed"] * 50


def test_run_batch_that_waited_too_long_is_drawn_anew(tmp_path: Path, producer: FakeProducer) -> None:
    # Each look at the clock is a minute later: no batch is ever fresh, so nothing drawn for another hour is sent.
    stop = Stop()
    looks = 0

    class Slow(Clock):
        def __call__(self) -> datetime:
            nonlocal looks
            looks += 1
            if looks > 10:
                stop.request()
            return super().__call__()

    counts = _run(tmp_path, producer, stop=stop, clock=Slow(timedelta(minutes=1))).until()
    assert counts.sent == 0


def test_batch_size_is_a_second_of_traffic_within_bounds() -> None:
    assert [batch_size(rate) for rate in (0.1, 10, 1000, 1_000_000, 0)] == [1, 10, 1000, 4096, 4096]


def test_status_every_ten_seconds_tells_the_rate_since_the_last_line() -> None:
    counts = Counts()
    moments = iter((0.0, 5.0, 10.0, 15.0, 20.0))
    status = Status(counts, clock=lambda: next(moments))
    with capture_logs() as logs:
        for counts.sent in (50, 100, 200, 400):
            status.tick(under_way=1)
    assert [(line["sent"], line["rate_per_second"]) for line in logs] == [(100, 10.0), (400, 30.0)]
