"""What the quality tests share: a lake, and a judge of ledgers over it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from contracts import names
from lake.duck import connect
from quality.score import score
from quality.score_result import Score
from tests.lake_tables import Lake, Row, lake_in
from tests.sent_records import write_ledger

Rows = Sequence[Row]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with lake_in(tmp_path) as opened:
        yield opened


@pytest.fixture
def judge(lake: Lake) -> Callable[..., Score]:
    """Scores a ledger of these rows by tables of these rows."""

    def run(ledger: Rows, transactions: Rows = (), dead_letters: Rows = (), alerts: Rows = ()) -> Score:
        for name, rows in (
            (names.TRANSACTIONS, transactions),
            (names.DEAD_LETTERS, dead_letters),
            (names.ALERTS, alerts),
        ):
            if rows:
                lake.append(name, rows)
        folder = write_ledger(lake.state / "ledger", ledger)
        with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
            return score(connection, folder)

    return run
