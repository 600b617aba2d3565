"""Takes the pictures of the docs from the web page of a running pipeline: `uv run scripts/screenshots.py`.

Needs Chromium. Let the pipeline run for some minutes first, so that there is something to see.
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contracts.addresses import Addresses
from contracts.paths import PROJECT
from contracts.settings import load_settings
from tests.web_ui import WebUi, browser

_IMAGES = PROJECT / "docs" / "images"
# The other groups closed: all of them open are too many for one picture.
_GROUPS = ("traffic", "stream", "lake")
_SETTLE_MS = 4_000


def main() -> None:
    """Writes every picture. Raises NotRunning where no pipeline was started."""
    url = Addresses.read(load_settings().paths.root).dagster_url
    # The graph is drawn no smaller than it can be read: what is out of the window is not in the picture.
    _take(url, 1400, {"dagster-lineage": lambda ui: ui.lineage(_GROUPS)})
    _take(
        url,
        1000,
        {
            "dagster-table": lambda ui: ui.asset("lake", "transactions"),
            "dagster-checks": lambda ui: ui.asset("lake", "transactions", view="checks&checkDetail=validity"),
        },
    )


def _take(url: str, height: int, pictures: dict[str, Callable[[WebUi], None]]) -> None:
    with browser(url, width=1800, height=height) as ui:
        for name, look in pictures.items():
            look(ui)
            # What was loaded still moves to its place, and nothing in the page tells when it is there.
            ui.page.wait_for_timeout(_SETTLE_MS)
            ui.picture(_IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
