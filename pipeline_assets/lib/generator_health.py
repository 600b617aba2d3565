"""Reads what the generator tells of itself, as far as its asset shows it. No Dagster here."""

from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError


class GeneratorHealth(BaseModel):
    """The file of the generator, which has more fields: see `generator/health.py`.

    `at` is when it was written, `state` the circuit's before the broker (closed, open, half_open); counts are of this
    run's records, rates in records a second.
    """

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    state: str
    sent: int
    ok: int
    failed: int
    unknown: int
    rate_per_second: float
    wanted_rate_per_second: float

    def silent_seconds(self, now: datetime) -> float:
        """How long ago it was written; it is written anew each second."""
        return max(0.0, (now - self.at).total_seconds())


def read_health(path: Path) -> GeneratorHealth | None:
    """What the file at `path` says; None where there is none, or none that this version writes."""
    try:
        return GeneratorHealth.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
