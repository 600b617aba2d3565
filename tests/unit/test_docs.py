"""The documents name files that there are, and link to pages that there are."""

import re
from pathlib import Path

import pytest

from contracts.paths import PROJECT

PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
_FOLDERS = (
    "config|contracts|generator|streaming|lake|quality|pipeline_assets|operations|tests|benchmarks|docker|deploy|docs"
)
_FILE = re.compile(rf"`((?:{_FOLDERS}|scripts)/[\w./-]+\.(?:py|yaml|yml|sh|md))`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_page_names_files_and_pages_that_there_are(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [name for name in _FILE.findall(text) if not (PROJECT / name).exists()]
    missing += [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing
