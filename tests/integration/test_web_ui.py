"""What a person sees who opens the web page: the graph of the whole stream, and the page of a table. Read-only."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from contracts import names
from tests.integration.dagster_processes import control_plane
from tests.lake_tables import lake_in, transaction
from tests.web_ui import browser, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium, or CHROMIUM=<its path>"),
]

_WIPE = (
    """mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["lake", "transactions"]}}]) { __typename } }"""
)
_REPORTED = """{ assetOrError(assetKey: {path: ["lake", "transactions"]}) { ... on Asset {
    assetMaterializations(limit: 10) { timestamp } } } }"""


def _ask(url: str, query: str) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = httpx.post(f"{url}/graphql", json={"query": query}, timeout=10).json()["data"]
    return data


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A read-only web server beside a table whose three commits the sensor has reported."""
    with lake_in(tmp_path_factory.mktemp("web").resolve()) as lake:
        for number in range(3):
            lake.append(names.TRANSACTIONS, [transaction(number)])
        with control_plane(lake, read_only=True) as address:
            waiting = Retrying(
                stop=stop_after_delay(180),
                wait=wait_fixed(0.5),
                retry=retry_if_exception_type((httpx.HTTPError, AssertionError)),
                reraise=True,
            )
            for attempt in waiting:
                with attempt:
                    found = _ask(address, _REPORTED)["assetOrError"].get("assetMaterializations")
                    assert isinstance(found, list)
                    assert len(found) == 3
            yield address


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


def test_read_only_web_page_refuses_to_change_anything(url: str) -> None:
    assert _ask(url, _WIPE) == {"wipeAssets": {"__typename": "UnauthorizedError"}}
    assert _ask(url, _REPORTED)["assetOrError"]["assetMaterializations"]
