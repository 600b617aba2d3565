"""The generator's configuration: `config/generator.yaml` as one typed, frozen tree.

Only values and their bounds; what they do is told where they are used.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contracts.errors import ConfigError
from contracts.paths import config_folder
from contracts.yaml_files import load_yaml

# No process sends more than about this many records a second: what depends on the rate need not look beyond.
FASTEST_PER_SECOND = 100_000
# More than five transactions of one account in 60 s look like fraud. With 30 accounts for each record a
# second, 60 s of traffic deal every account twice, four times while half of the world sleeps.
_ACCOUNTS_PER_RATE = 30


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Amounts(_Section):
    """A range of amounts, in whole US dollars."""

    smallest: int = Field(ge=1, le=1_000_000, description="US dollars, scaled to the account's currency.")
    largest: int = Field(ge=1, le=1_000_000, description="US dollars, scaled to the account's currency.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"smallest ({self.smallest}) is above largest ({self.largest})")
        return self


class HighValueConfig(_Amounts):
    """One amount far above what its account ever pays."""

    weight: float = Field(default=1, ge=0, le=1000, description="Share of the fraudulent records, relative.")
    smallest: int = Field(default=15_000, ge=1, le=1_000_000)
    largest: int = Field(default=60_000, ge=1, le=1_000_000)


class RapidActivityConfig(_Section):
    """Many transactions of one account in a short time."""

    weight: float = Field(default=2, ge=0, le=1000, description="Share of the fraudulent records, relative.")
    transactions: int = Field(default=8, ge=2, le=100, description="Length of a burst, in records.")
    seconds: float = Field(default=20, ge=0, le=600, description="Event time from a burst's first record to its last.")


class UnusualHourConfig(_Amounts):
    """A sizeable amount while its account's country sleeps."""

    weight: float = Field(default=1, ge=0, le=1000, description="Share of the fraudulent records, relative.")
    smallest: int = Field(default=300, ge=1, le=1_000_000)
    largest: int = Field(default=1_500, ge=1, le=1_000_000)
    start_hour: int = Field(default=1, ge=0, le=23, description="Local hour at which the night starts, inclusive.")
    end_hour: int = Field(default=5, ge=1, le=24, description="Local hour at which it ends, exclusive.")

    @model_validator(mode="after")
    def _short(self) -> Self:
        if not 0 < self.end_hour - self.start_hour <= 6:
            raise ValueError("end_hour is 1 to 6 hours after start_hour: in a longer night too few accounts stay awake")
        return self


class ScenariosConfig(_Section):
    """The mix of fraud."""

    high_value: HighValueConfig = HighValueConfig()
    rapid_activity: RapidActivityConfig = RapidActivityConfig()
    unusual_hour: UnusualHourConfig = UnusualHourConfig()


class LedgerConfig(_Section):
    """Size and number of the ledger's files."""

    rotate_seconds: float = Field(default=60, ge=1, le=3600, description="A file holds at most this much time.")
    rotate_rows: int = Field(default=100_000, ge=1_000, le=1_000_000, description="A file holds about this many rows.")
    keep_files: int = Field(default=50_000, ge=1, le=1_000_000, description="Older files are deleted.")
    keep_mb: int = Field(default=4096, ge=1, le=1_000_000, description="Older files are deleted, in MiB.")


class GeneratorConfig(_Section):
    """The whole tree."""

    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Repeats a run; null draws one.")
    rate_per_second: float = Field(default=10, description="Records a second; 0: as fast as possible.")
    accounts: int = Field(default=1000, ge=100, le=10_000_000, description="Least size of the account pool.")
    merchants_per_country: int = Field(default=40, ge=13, le=10_000)
    fraud_percent: float = Field(default=2.0, ge=0, le=50, description="Of all records.")
    malformed_percent: float = Field(default=1.0, ge=0, le=50, description="Of all records.")
    scenarios: ScenariosConfig = ScenariosConfig()
    ledger: LedgerConfig = LedgerConfig()

    @field_validator("rate_per_second")
    @classmethod
    def _possible(cls, rate: float) -> float:
        if rate != 0 and not 0.1 <= rate <= 1_000_000:
            raise ValueError("a rate is 0.1 to 1000000 records a second, or 0 for as fast as possible")
        return rate

    @model_validator(mode="after")
    def _some_scenario(self) -> Self:
        mix = self.scenarios
        if self.fraud_percent > 0 and not mix.high_value.weight + mix.rapid_activity.weight + mix.unusual_hour.weight:
            raise ValueError("fraud_percent is above 0, so one of the scenarios needs a weight above 0")
        return self

    @property
    def pool_size(self) -> int:
        """How many accounts there are: `accounts`, or more where the rate needs them (see _ACCOUNTS_PER_RATE)."""
        rate = min(self.rate_per_second or FASTEST_PER_SECOND, FASTEST_PER_SECOND)
        return max(self.accounts, round(rate * _ACCOUNTS_PER_RATE))


def load_config(path: Path | None = None, *, seed: int | None = None, rate: float | None = None) -> GeneratorConfig:
    """The configuration in `path` (default: `generator.yaml` of the configuration folder), with what the command line
    gave put over it. Raises ConfigError.
    """
    config = load_yaml(path or config_folder() / "generator.yaml", GeneratorConfig)
    given = {name: value for name, value in (("seed", seed), ("rate_per_second", rate)) if value is not None}
    try:
        return GeneratorConfig.model_validate({**config.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "command line", f"{first['msg']} (found {first['input']!r})", path=str(first["loc"][0])
        ) from error
