"""Why a job is not started: a file per job in the state folder, written where that is found, read by every status.

A job that cannot go on without losing or doubling records is not submitted. Only a person can decide what then.
"""

from pathlib import Path

from contracts.paths import StatePaths


def write_refusal(paths: StatePaths, job: str, reason: str) -> None:
    """Tell why `job` is not started."""
    path = paths.refusals / job
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(reason, encoding="utf-8")
    draft.replace(path)


def clear_refusals(paths: StatePaths, *jobs: str) -> None:
    """Forget why `jobs` were not started."""
    for job in jobs:
        (paths.refusals / job).unlink(missing_ok=True)


def read_refusal(state: Path, job: str) -> str | None:
    """Return why `job` of the pipeline in the folder `state` is not started; None if nothing is in its way."""
    try:
        return (StatePaths(state).refusals / job).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
