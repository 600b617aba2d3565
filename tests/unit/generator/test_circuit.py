"""When the circuit opens, how long it waits, and what it says about it."""

from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from generator.circuit import FAILURES, Circuit, State


@dataclass
class World:
    """A broker that answers probes with `trouble`, and a clock."""

    now: float = 0.0
    trouble: str | None = "nobody answers"
    probes: list[float] = field(default_factory=list)

    def circuit(self) -> Circuit:
        return Circuit(self._probe, lambda: 7, clock=lambda: self.now, jitter=lambda: 1.0)

    def _probe(self) -> str | None:
        self.probes.append(self.now)
        return self.trouble


def test_allows_closed_probes_nobody() -> None:
    world = World()
    circuit = world.circuit()
    assert circuit.allows()
    assert (circuit.state, circuit.reason, world.probes) == (State.CLOSED, "", [])


def test_allows_broker_stays_away_probes_after_waits_that_double_to_ten_seconds() -> None:
    world = World()
    circuit = world.circuit()
    circuit.trip("gone")
    for tick in range(1000):
        world.now = tick / 20
        assert not circuit.allows()
    assert world.probes == [1, 3, 7, 15, 25, 35, 45]
    assert (circuit.state, circuit.reason) == (State.OPEN, "nobody answers")


def test_allows_broker_is_back_closes_and_each_transition_is_logged_once() -> None:
    world = World()
    with capture_logs() as logs:
        circuit = world.circuit()
        circuit.trip("gone")
        circuit.trip("gone again")
        world.now = 1
        circuit.allows()
        world.now, world.trouble = 3, None
        assert circuit.allows()
        assert circuit.allows()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("circuit_open", "warning"),
        ("circuit_half_open", "info"),
        ("circuit_open", "warning"),
        ("circuit_half_open", "info"),
        ("circuit_closed", "info"),
    ]
    assert (logs[0]["reason"], logs[0]["under_way"], logs[0]["probe_in_seconds"]) == ("gone", 7, 1.0)
    assert logs[-1]["open_seconds"] == 3.0


def test_since_is_when_it_left_or_reached_closed_whatever_came_between() -> None:
    world = World()
    circuit = world.circuit()
    circuit.trip("gone")
    left = circuit.since
    for world.now in (1, 3, 7):
        assert not circuit.allows()
    assert circuit.since == left
    world.now, world.trouble = 15, None
    assert circuit.allows()
    assert circuit.since > left


def test_watch_is_told_of_each_transition() -> None:
    world = World(trouble=None)
    circuit = world.circuit()
    seen: list[tuple[State, bool]] = []
    before = circuit.since
    circuit.watch(lambda: seen.append((circuit.state, circuit.since > before)))
    circuit.trip("gone")
    world.now = 1
    circuit.allows()
    assert seen == [(State.OPEN, True), (State.HALF_OPEN, True), (State.CLOSED, True)]


@pytest.mark.parametrize(
    ("count", "state"), [(FAILURES - 1, State.CLOSED), (FAILURES, State.OPEN), (10_000, State.OPEN)]
)
def test_failed_so_many_in_a_row_opens(count: int, state: State) -> None:
    circuit = World().circuit()
    circuit.failed(count, "refused")
    assert circuit.state is state


def test_failed_in_parts_adds_up_unless_something_was_delivered() -> None:
    circuit = World().circuit()
    circuit.failed(FAILURES - 1, "refused")
    circuit.delivered()
    circuit.failed(FAILURES - 1, "refused")
    assert circuit.state is State.CLOSED
    circuit.failed(1, "refused")
    assert (circuit.state, circuit.reason) == (State.OPEN, "refused")


def test_delivered_while_open_probes_at_once() -> None:
    world = World(trouble=None)
    circuit = world.circuit()
    circuit.trip("gone")
    assert not circuit.allows()
    circuit.delivered()
    assert circuit.allows()


def test_trip_after_a_probe_alone_succeeded_waits_longer_until_something_is_delivered() -> None:
    world = World(trouble=None)
    circuit = world.circuit()
    for now in (0, 10, 20):
        world.now = now
        circuit.trip("deliveries fail")
        world.now = now + 9
        assert circuit.allows()
    circuit.trip("deliveries fail")
    world.now = 29 + 7.9
    assert not circuit.allows(), "the fourth wait is 8 s"
    world.now = 29 + 8
    assert circuit.allows()
    circuit.delivered()
    circuit.trip("gone")
    world.now += 1
    assert circuit.allows(), "the first wait is 1 s again"


def test_allows_jitter_shortens_the_wait() -> None:
    world = World(trouble=None)
    circuit = Circuit(world._probe, lambda: 0, clock=lambda: world.now, jitter=lambda: 0.5)
    circuit.trip("gone")
    world.now = 0.5
    assert circuit.allows()


def test_allows_probe_that_raises_opens_again_and_raises() -> None:
    world = World()

    def probe() -> str | None:
        raise RuntimeError("no memory")

    circuit = Circuit(probe, lambda: 0, clock=lambda: world.now, jitter=lambda: 1.0)
    circuit.trip("gone")
    world.now = 1
    with pytest.raises(RuntimeError, match="no memory"):
        circuit.allows()
    assert circuit.state is State.OPEN
