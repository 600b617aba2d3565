"""What a person sees who opens the web page: the graph of the whole stream, and the page of a table."""

from pathlib import Path

import pytest

from tests.integration import accounting
from tests.integration.conftest import CommandLine, ask_dagster
from tests.web_ui import browser, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium, or CHROMIUM=<its path>"),
]

_REPORTED = """{ assetOrError(assetKey: {path: ["lake", "transactions"]}) { ... on Asset {
    assetMaterializations(limit: 1) { timestamp } } } }"""


@pytest.fixture(scope="module")
def url(pipeline: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a web server that knows a commit to `transactions`."""
    ledger = tmp_path_factory.mktemp("seen")
    assert accounting.send(pipeline, seed=6, limit=200, rate=1_000, ledger=ledger).wait(timeout=60) == 0
    accounting.eventually(
        lambda: ask_dagster(pipeline, _REPORTED)["assetOrError"].get("assetMaterializations"),
        "no commit is told",
        seconds=60,
    )
    return pipeline.addresses().dagster_url


def test_lineage_graph_shows_the_stream_from_the_generator_to_the_reports(url: str, tmp_path: Path) -> None:
    # The page draws only the nodes that are in view, and none smaller than it can be read: the whole graph is tall.
    with browser(url, width=2400, height=3000) as ui:
        ui.lineage(("traffic", "stream", "lake", "reports"))
        ui.sees("Global asset lineage", "generator", "transactions_raw", "alerting", "lakehouse", "transactions")
        ui.sees("dead_letters", "stream_summary", "generator_score")
        ui.picture(tmp_path / "lineage.png")
    assert (tmp_path / "lineage.png").stat().st_size > 20_000


def test_asset_page_of_a_table_shows_rows_freshness_columns_and_owner(url: str) -> None:
    with browser(url) as ui:
        ui.asset("lake", "transactions")
        ui.sees("Row count", "Freshness policy", "External Asset", "finance.transactions", "payments")
        ui.sees("transaction_id", "ISO 4217 code of the amount.", "decimal(14,2)")
