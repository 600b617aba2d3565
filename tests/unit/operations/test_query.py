"""`pipeline query` over real tables: the three forms of an answer, and what is refused."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning, QueryError
from contracts.paths import StatePaths
from operations.query import Output, run_query
from tests.lake_tables import Lake, dead_letter, transaction

AT = datetime(2026, 11, 22, 19, 30, 0, 125_000, tzinfo=UTC)
Ask = Callable[..., str]


@pytest.fixture
def ask(lake: Lake, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a query over three transactions and a dead letter, and returns what it printed."""
    rows = [transaction(number, amount=Decimal("0.10") + number, event_time=AT) for number in range(3)]
    lake.append(names.TRANSACTIONS, rows)
    lake.append(names.DEAD_LETTERS, [dead_letter(0, message="[/red] \x1b[31mred")])

    def run(sql: str, output: Output = "table", limit: int = 100) -> str:
        run_query(lake.addresses, sql, output=output, limit=limit)
        return capsys.readouterr().out

    return run


def test_run_query_json_keeps_money_exact_and_times_iso(ask: Ask) -> None:
    sql = """SELECT sum(amount) AS total, max(event_time) AS at, NULL AS nothing, count(*) AS rows, [1, 2] AS list
             FROM transactions"""
    assert json.loads(ask(sql, "json")) == {
        "total": "3.30", "at": "2026-11-22T19:30:00.125000+00:00", "nothing": None, "rows": 3, "list": [1, 2],
    }  # fmt: skip


def test_run_query_json_is_one_object_a_line(ask: Ask) -> None:
    lines = ask("SELECT kafka_offset, kafka_partition FROM finance.transactions ORDER BY ALL", "json").splitlines()
    assert [json.loads(line)["kafka_offset"] for line in lines] == [0, 0, 1]


def test_run_query_json_with_one_name_twice_is_refused_rather_than_losing_a_column(ask: Ask) -> None:
    with pytest.raises(QueryError, match="two columns are called amount"):
        ask("SELECT amount, amount FROM transactions", "json")


def test_run_query_csv_reads_back_with_null_as_nothing(ask: Ask) -> None:
    text = ask("SELECT amount, NULL AS nothing, 'a,\"b\"\n' AS text FROM transactions ORDER BY 1", "csv")
    header, first, *rest = csv.reader(io.StringIO(text))
    assert (header, first) == (["amount", "nothing", "text"], ["0.10", "", 'a,"b"\n'])
    assert len(rest) == 2


def test_run_query_csv_is_never_limited(ask: Ask) -> None:
    assert len(ask("FROM range(250)", "csv", limit=1).splitlines()) == 251


def test_run_query_table_shows_values_as_they_are(ask: Ask) -> None:
    text = ask("SELECT amount, event_time, NULL AS nothing FROM transactions ORDER BY 1 LIMIT 1")
    assert "│ 0.10   │ 2026-11-22 19:30:00.125000+00:00 │         │" in text
    assert "only the first" not in text


def test_run_query_table_shows_at_most_the_limit_and_says_so(ask: Ask) -> None:
    text = ask("SELECT amount FROM transactions ORDER BY 1", limit=2)
    assert "1.10" in text
    assert "2.10" not in text
    assert "only the first 2 rows are shown" in text


def test_run_query_table_of_exactly_the_limit_has_no_note(ask: Ask) -> None:
    assert "only the first" not in ask("SELECT amount FROM transactions", limit=3)


def test_run_query_table_hostile_payload_is_neither_markup_nor_a_terminal_command(ask: Ask) -> None:
    text = ask('SELECT message AS "[b]" FROM dead_letters')
    assert "[b]" in text
    assert r"[/red] \x1b[31mred" in text


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM transactions",
        "CREATE TABLE t AS SELECT 1",
        "COPY transactions TO 'x.csv'",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_run_query_anything_but_one_reading_statement_is_refused(ask: Ask, sql: str) -> None:
    with pytest.raises(QueryError):
        ask(sql)


@pytest.mark.parametrize("output", ["table", "csv", "json"])
def test_run_query_mistake_is_told_in_duckdbs_words(ask: Ask, output: Output) -> None:
    with pytest.raises(QueryError, match="amont"):
        ask("SELECT amont FROM transactions", output)
    with pytest.raises(QueryError, match="abc"):
        ask("SELECT CAST(s AS INT) FROM (VALUES ('1'), ('abc')) AS v(s)", output)


def test_run_query_before_the_first_tables_says_to_start(tmp_path: Path) -> None:
    empty = Addresses.local(state=StatePaths(tmp_path), kafka_port=1, flink_rest_port=1, dagster_port=1)
    with pytest.raises(NotRunning, match="pipeline up"):
        run_query(empty, "SELECT 1", output="table", limit=1)
