"""What a person sees, from fixed values, as golden files."""

import io

import pytest
from rich.console import Console, RenderableType

from contracts.addresses import Addresses
from operations import screen
from operations.health import Component, Health
from operations.status import Disk, LakeStatus, Latency, Status, TableStatus, TopicStatus
from operations.terminal import console
from pipeline_assets.lib.open_transactions import OpenTransaction
from tests.conftest import Golden

ADDRESSES = Addresses(
    "127.0.0.1:9092", "http://127.0.0.1:8081", "http://127.0.0.1:3000", "sqlite:////s/lake/catalog.db", "lake",
    "file:///s/lake/warehouse", "/s [a]",
)  # fmt: skip
COMPONENTS = (
    Component("kafka", Health.HEALTHY, "127.0.0.1:9092", 11, 3_723, 410),
    Component("taskmanager-alerting", Health.STARTING, "not registered yet", 12, 5, 0),
    Component("generator", Health.UNHEALTHY, "backoff: [red]no such file[/x]; see: pipeline logs generator"),
    Component("job alerting", Health.HEALTHY, "checkpoint 41, restarts 0", up_seconds=90_061),
)
LAKE = LakeStatus(
    tables=(
        TableStatus("transactions", 1_234_567, 12, 98_765_432, 3.2),
        TableStatus("dead_letters", 0, 0, 0, None),
    ),
    rate=9.97,
    alert_latency=Latency(1_050, 8.4, 23.6, 1_204.0),
    storage_latency=Latency(0, None, None, None),
    alerts_by_rule={"high-value": 40, "rapid-activity": 1_010},
    alerts_by_severity={"critical": 1_010, "high": 40},
    dead_letters_by_reason={},
)
WARNINGS = ("3 records were refused, though [nothing] is wrong with them",)
TOPICS = (
    TopicStatus(
        "transactions.raw",
        1_234_570,
        {"alerting": 0, "lakehouse": 1_503},
        (OpenTransaction("transactions.raw", 1, 4_711, 12.4, 3, 0, "theirs", 60.0),),
    ),
    TopicStatus("alerts", 0, {}),
)


def rendered(what: RenderableType) -> str:
    """The text on a screen of 100 columns, without the blanks at the ends of lines."""
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(what)
    return "".join(f"{line.rstrip()}\n" for line in console.export_text().splitlines())


def test_status_everything_there_shows_all_of_it(golden: Golden) -> None:
    golden(
        "screen/status.txt",
        rendered(
            screen.status(
                Status(False, ADDRESSES, COMPONENTS, WARNINGS, TOPICS, LAKE, Disk(312_400_000, 41_200_000_000))
            )
        ),
    )


def test_status_broker_and_tables_silent_shows_the_components_alone(golden: Golden) -> None:
    golden(
        "screen/status_of_components.txt", rendered(screen.status(Status(False, ADDRESSES, COMPONENTS, (), (), None)))
    )


def test_addresses_show_where_to_look_next(golden: Golden) -> None:
    golden("screen/addresses.txt", rendered(screen.addresses(ADDRESSES)))


def test_starting_counts_the_healthy_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 112.0)
    text = rendered(screen.starting(COMPONENTS, since=100.0))
    assert text.splitlines()[0] == "starting: 2 of 4 healthy, 12 s"
    assert "not registered yet" in text


def test_console_that_is_no_terminal_cuts_and_folds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("x" * 500, "y" * 500)
    assert capsys.readouterr().out == f"{'x' * 500} {'y' * 500}\n"
