"""The token bucket, on a clock of its own."""

from itertools import pairwise

import pytest

from generator.pace import SLICE_SECONDS, TOGETHER_SECONDS, TokenBucket, Unlimited


class Clock:
    """Time that passes only by sleeping, each sleep `late` seconds longer than asked for."""

    def __init__(self, *, late: float = 0.0) -> None:
        self.now, self._late = 1000.0, late

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= SLICE_SECONDS
        self.now += seconds + self._late


def _sends(rate: float, seconds: float, clock: Clock, *, most: int = 1000) -> list[tuple[float, int]]:
    bucket = TokenBucket(rate, clock=clock, sleep=clock.sleep)
    start, sends = clock.now, []
    while clock.now - start < seconds:
        taken = bucket.take(most)
        if taken:
            sends.append((clock.now - start, taken))
    return sends


def test_token_bucket_ten_a_second_are_sent_one_by_one_100_ms_apart() -> None:
    sends = _sends(10, 60, Clock())
    assert {count for _, count in sends} == {1}
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sends)]
    assert min(gaps) > 0.09
    assert max(gaps) < 0.11


@pytest.mark.parametrize("rate", [0.5, 10, 333.3, 10_000, 250_000])
@pytest.mark.parametrize("late", [0.0, 0.0007, 0.02])
def test_token_bucket_sleeps_that_are_late_do_not_make_it_drift(rate: float, late: float) -> None:
    sends = _sends(rate, 240, Clock(late=late), most=100_000)
    tolerance = max(1.5, rate * (late + TOGETHER_SECONDS))
    assert sum(count for _, count in sends) == pytest.approx(rate * 240, abs=tolerance)


def test_token_bucket_after_a_long_pause_catches_up_one_second_only() -> None:
    clock = Clock()
    bucket = TokenBucket(100, clock=clock, sleep=clock.sleep)
    clock.now += 600
    assert bucket.take(100_000) == 101
    assert bucket.take(100_000) <= 1


def test_token_bucket_never_gives_more_than_asked_for() -> None:
    clock = Clock()
    bucket = TokenBucket(1000, clock=clock, sleep=clock.sleep)
    clock.now += 0.5
    assert [bucket.take(300), bucket.take(300)] == [300, 200]


def test_token_bucket_slow_rate_returns_in_between_with_nothing() -> None:
    clock = Clock()
    bucket = TokenBucket(0.1, clock=clock, sleep=clock.sleep)
    assert bucket.take(10) == 0
    assert clock.now - 1000 == pytest.approx(SLICE_SECONDS)


def test_unlimited_gives_all() -> None:
    assert Unlimited().take(512) == 512


def test_token_bucket_ten_a_second_are_600_in_any_minute_whatever_the_sleeps_cost() -> None:
    sends = _sends(10, 300, Clock(late=0.013))
    for start in range(1, 240):
        within = sum(count for at, count in sends if start <= at < start + 60)
        assert abs(within - 600) <= 1


def test_change_factor_holds_from_now_on_and_zero_is_a_pause() -> None:
    clock = Clock()
    bucket = TokenBucket(100, clock=clock, sleep=clock.sleep)
    bucket.take(1)
    sent = {}
    for factor in (5.0, 0.0, 1.0):
        bucket.change(factor)
        started, sent[factor] = clock.now, 0
        while clock.now - started < 10:
            sent[factor] += bucket.take(1000)
    assert sent[5.0] == pytest.approx(5000, rel=0.01)
    assert sent[0.0] <= 1
    assert sent[1.0] == pytest.approx(1000, rel=0.02)


def test_unlimited_paused_gives_nothing_and_waits_a_slice() -> None:
    slept: list[float] = []
    pace = Unlimited(sleep=slept.append)
    pace.change(0)
    assert (pace.take(512), slept) == (0, [SLICE_SECONDS])
    pace.change(1)
    assert pace.take(512) == 512


def test_token_bucket_high_rate_gives_the_records_of_20_ms_together_however_soon_it_is_asked() -> None:
    clock = Clock()
    bucket = TokenBucket(1000, clock=clock, sleep=clock.sleep)
    taken = []
    while clock.now < 1010:
        clock.now += 0.003  # what a turn takes
        taken.append(bucket.take(1000))
    assert min(taken) >= 19
    assert sum(taken) == pytest.approx(10_000, abs=40)
