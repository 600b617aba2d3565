"""The static pages of Great Expectations: one for each suite's newest result, built over again in place."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from contracts import names, tables
from contracts.errors import CheckError
from lake.pinning import pin
from quality.data_docs import build
from quality.settings import load_quality
from quality.suites.catalogue import SUITES
from tests.lake_tables import Lake, transaction


def test_build_pages_show_each_suite_and_what_is_broken(lake: Lake, tmp_path: Path) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0), transaction(2, channel="fax")])
    folder = tmp_path / "docs"
    suites = [suite(load_quality()) for suite in SUITES.values()]
    for _ in range(2):
        index = build(folder, suites, pin(lake.catalog, tables.stream_tables()))
    text = index.read_text(encoding="utf-8")
    assert index == folder / "index.html"
    assert all(table in text for table in SUITES)
    pages = "".join(page.read_text(encoding="utf-8") for page in (folder / "validations").rglob("*.html"))
    assert "fax" in pages
    assert len(list((folder / "validations").rglob("*.html"))) == len(SUITES)
    assert [path.name for path in tmp_path.glob("docs*")] == ["docs"]


def test_build_interrupted_at_its_end_leaves_no_half_of_the_former_pages(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "index.html").touch()
    removals = Mock(side_effect=(None, KeyboardInterrupt))
    monkeypatch.setattr("quality.data_docs.shutil", Mock(rmtree=removals))
    suites = [SUITES[names.TRANSACTIONS](load_quality())]
    with pytest.raises(KeyboardInterrupt):
        build(folder, suites, pin(lake.catalog, tables.stream_tables()))
    assert (folder / "validations").exists(), "the new pages"


def test_build_table_that_cannot_be_read_leaves_the_former_pages(lake: Lake, tmp_path: Path) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0)])
    suites = [SUITES[names.TRANSACTIONS](load_quality())]
    index = build(tmp_path / "docs", suites, pin(lake.catalog, tables.stream_tables()))
    for path in Path(lake.addresses.iceberg_warehouse.removeprefix("file://")).rglob("*.parquet"):
        path.unlink()
    with pytest.raises(CheckError):
        build(tmp_path / "docs", suites, pin(lake.catalog, tables.stream_tables()))
    assert index.exists()
