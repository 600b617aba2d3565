"""Dagster's web page in a real browser, as the tests and the screenshots of the docs look at it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

# What a page needs to lay out a graph on a busy machine.
_PATIENCE_MS = 60_000


def chromium() -> str | None:
    """The browser; None where the machine has none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


@dataclass(frozen=True)
class WebUi:
    """One open browser page, and the web server it looks at."""

    page: Page
    url: str

    def lineage(self, groups: tuple[str, ...]) -> None:
        """Opens the graph of all assets, with the nodes of these groups drawn one by one."""
        expanded = ",".join(f"global@global:{group}" for group in groups)
        self._open(f"/asset-groups?expanded={expanded}")

    def asset(self, *key: str, view: str = "overview") -> None:
        """Opens the page of an asset."""
        self._open(f"/assets/{'/'.join(key)}?view={view}")

    def sees(self, *texts: str) -> None:
        """Waits until the page shows each of `texts` somewhere. Fails after a minute."""
        for text in texts:
            expect(self.page.get_by_text(text, exact=True).first).to_be_attached(timeout=_PATIENCE_MS)

    def picture(self, path: Path) -> None:
        """Writes what is shown, as a PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def _open(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}", timeout=_PATIENCE_MS)
        self.page.wait_for_load_state("networkidle", timeout=_PATIENCE_MS)


@contextmanager
def browser(url: str, *, width: int = 1600, height: int = 1000) -> Iterator[WebUi]:
    """A headless Chromium that looks at the web server at `url`."""
    with sync_playwright() as playwright:
        # No sandbox: it needs privileges that neither root in a container nor a CI machine has.
        chrome = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield WebUi(chrome.new_page(viewport={"width": width, "height": height}), url)
        finally:
            chrome.close()
