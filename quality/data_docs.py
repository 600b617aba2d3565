"""Data Docs: what Great Expectations makes of the suites and their newest results, as static HTML pages.

Everything is made afresh in a folder beside and then moved, so that what is looked at is never half made.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import great_expectations as gx
from great_expectations import Checkpoint, ValidationDefinition
from great_expectations.checkpoint.actions import UpdateDataDocsAction
from great_expectations.data_context.types.base import ProgressBarsConfig

from lake.pinning import Pinned
from quality.expectations import Suite
from quality.great import great_suite
from quality.runner import open_batch_definition

_INDEX = Path("gx") / "uncommitted" / "data_docs" / "local_site"


def build(folder: Path, suites: Iterable[Suite], pinned: Mapping[str, Pinned]) -> Path:
    """Validates `suites` on the snapshots `pinned` by table, and puts the pages into `folder`; the path of the index.

    Raises CheckError where a table cannot be read.
    """
    aside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    context = gx.get_context(mode="file", project_root_dir=aside)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.analytics_enabled = False
    for suite in suites:
        with open_batch_definition(context, suite, pinned) as (definition, _):
            validation = ValidationDefinition(
                name=suite.table, data=definition, suite=context.suites.add(great_suite(suite))
            )
            checkpoint = Checkpoint(
                name=suite.table,
                validation_definitions=[context.validation_definitions.add(validation)],
                actions=[UpdateDataDocsAction(name="pages")],
            )
            context.checkpoints.add(checkpoint).run()
    if folder.exists():
        folder.rename(aside / "former")  # removed in place, half of it might be looked at
    (aside / _INDEX).rename(folder)
    shutil.rmtree(aside)
    return folder / "index.html"
