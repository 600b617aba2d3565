"""What the checks hold the tables to beyond the contracts: `config/quality.yaml`, typed."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.paths import config_folder
from contracts.yaml_files import load_yaml

Share = Annotated[float, Field(ge=0, le=1)]
# Of the amounts that name no currency.
DEFAULT = "default"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Timeliness(_Section):
    """`seconds` from the Kafka record to the row, and the `share` of rows that must keep to it."""

    seconds: int = Field(default=30, ge=1)
    share: Share = 0.999


class Distribution(_Section):
    """The expected `shares` of a column's values, and the distance (total variation, 0 to 1) that is still in order."""

    tolerance: Share
    shares: dict[str, Share]

    @model_validator(mode="after")
    def _is_whole(self) -> "Distribution":
        if abs(sum(self.shares.values()) - 1) > 0.01:
            raise ValueError(f"the shares add up to {sum(self.shares.values()):.3f}, not to 1")
        return self


class Accuracy(_Section):
    """Bounds of single values, and distributions of columns."""

    future_seconds: int = Field(default=60, ge=0)
    highest_amount: dict[str, Decimal] = {DEFAULT: Decimal(1_000_000)}
    distributions: dict[str, Distribution] = {}
    rows_at_least: int = Field(default=5_000, ge=1)

    @model_validator(mode="after")
    def _has_a_default(self) -> "Accuracy":
        if DEFAULT not in self.highest_amount:
            raise ValueError(f"highest_amount needs the entry {DEFAULT!r}, for currencies that it does not name")
        return self


class QualitySettings(_Section):
    """The whole file. `pass_rate` is the share of transactions that must keep every expectation of a row."""

    pass_rate: Share = 0.999
    timeliness: Timeliness = Timeliness()
    accuracy: Accuracy = Accuracy()


def load_quality(path: Path | None = None) -> QualitySettings:
    """The settings in `path` (default: `quality.yaml` of the configuration folder). Raises ConfigError."""
    return load_yaml(path or config_folder() / "quality.yaml", QualitySettings)
