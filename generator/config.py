"""The generator's configuration: `config/generator.yaml` as one typed, frozen tree.

Only values and their bounds; what they do is told where they are used.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from contracts.errors import ConfigError
from contracts.paths import config_folder
from contracts.yaml_files import load_yaml

# What depends on the rate need not look beyond this many records a second: no pipeline on one machine follows.
FASTEST_PER_SECOND = 100_000
# More than five transactions of one account in 60 s look like fraud. With 65 accounts for each record a second, 60 s
# of traffic deal every account once, and at most four times in the hours in which most of the world sleeps.
_ACCOUNTS_PER_RATE = 65
# Above some 5,000 records a second the memory of so many accounts would be what a load test measures. With 30, ordinary
# traffic looks like a burst now and then from 03:00 to 08:00 UTC.
_MOST_FOR_REALISM, _ACCOUNTS_PER_HIGH_RATE = 300_000, 30


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScenarioConfig(_Section):
    """What every scenario has."""

    weight: float = Field(default=1, ge=0, le=1000, description="Share of the fraudulent records, relative.")


class _Amounts(ScenarioConfig):
    """A range of amounts, in whole US dollars."""

    smallest: int = Field(ge=1, le=1_000_000, description="US dollars, scaled to the local currency.")
    largest: int = Field(ge=1, le=1_000_000, description="US dollars, scaled to the local currency.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"smallest ({self.smallest}) is above largest ({self.largest})")
        return self


class HighValueConfig(_Amounts):
    """One amount far above what its account ever pays."""

    smallest: int = Field(default=15_000, ge=1, le=1_000_000)
    largest: int = Field(default=60_000, ge=1, le=1_000_000)


class VelocityBurstConfig(ScenarioConfig):
    """Card testing: many small amounts of one account in a short time, then a large one."""

    weight: float = Field(default=2, ge=0, le=1000, description="Share of the fraudulent records, relative.")
    transactions: int = Field(default=8, ge=2, le=100, description="Length of a burst, in records.")
    seconds: float = Field(default=20, ge=0, le=600, description="Event time from a burst's first record to its last.")
    test_amount: int = Field(default=5, ge=1, le=1_000, description="Largest small amount, US dollars.")
    final_amount: int = Field(default=900, ge=1, le=1_000_000, description="The large amount, US dollars.")


class UnusualHourConfig(_Amounts):
    """A sizeable amount while its account's country sleeps."""

    smallest: int = Field(default=300, ge=1, le=1_000_000)
    largest: int = Field(default=1_500, ge=1, le=1_000_000)
    start_hour: int = Field(default=1, ge=0, le=23, description="Local hour at which the night starts, inclusive.")
    end_hour: int = Field(default=5, ge=1, le=24, description="Local hour at which it ends, exclusive.")

    @model_validator(mode="after")
    def _short(self) -> Self:
        if not 0 < self.end_hour - self.start_hour <= 6:
            raise ValueError("end_hour is 1 to 6 hours after start_hour: in a longer night too few accounts stay awake")
        return self


class ImpossibleTravelConfig(_Amounts):
    """Two purchases at counters of two countries, closer in time than anybody travels."""

    smallest: int = Field(default=50, ge=1, le=1_000_000)
    largest: int = Field(default=900, ge=1, le=1_000_000)
    shortest_minutes: float = Field(default=2, ge=0, le=60, description="Event time between the two, at least.")
    longest_minutes: float = Field(default=45, gt=0, le=60, description="Event time between the two, at most.")

    @model_validator(mode="after")
    def _minutes_in_order(self) -> Self:
        if self.shortest_minutes > self.longest_minutes:
            raise ValueError(
                f"shortest_minutes ({self.shortest_minutes}) is above longest_minutes ({self.longest_minutes})"
            )
        return self


class MerchantRingConfig(_Amounts):
    """A dishonest merchant and its accomplices, who pay it nearly the same amount within minutes."""

    smallest: int = Field(default=400, ge=1, le=1_000_000)
    largest: int = Field(default=1_200, ge=1, le=1_000_000)
    accounts: int = Field(default=6, ge=2, le=100, description="Accomplices, who pay once each.")
    minutes: float = Field(default=10, ge=0, le=120, description="Event time from the first payment to the last.")
    merchants_per_country: int = Field(default=1, ge=1, le=100, description="Dishonest merchants.")


class AccountTakeoverConfig(ScenarioConfig):
    """A stolen account: online, from another country, and for more each time."""

    transactions: int = Field(default=5, ge=2, le=50, description="Purchases of the thief.")
    minutes: float = Field(default=15, ge=0, le=240, description="Event time from the first purchase to the last.")
    first_amount: int = Field(default=80, ge=1, le=1_000_000, description="US dollars.")
    growth_percent: int = Field(default=180, ge=101, le=1000, description="Each amount, of the one before.")

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        last = self.first_amount * (self.growth_percent / 100) ** (self.transactions - 1)
        if last > 1_000_000:
            raise ValueError(f"the last amount would be {last:.3g} US dollars: fewer transactions, or less growth")
        return self


class ScenariosConfig(_Section):
    """The mix of fraud."""

    high_value: HighValueConfig = HighValueConfig()
    velocity_burst: VelocityBurstConfig = VelocityBurstConfig()
    unusual_hour: UnusualHourConfig = UnusualHourConfig()
    impossible_travel: ImpossibleTravelConfig = ImpossibleTravelConfig()
    merchant_ring: MerchantRingConfig = MerchantRingConfig()
    account_takeover: AccountTakeoverConfig = AccountTakeoverConfig()

    @property
    def total_weight(self) -> float:
        """The sum of all scenarios' weights."""
        return sum(float(getattr(self, name).weight) for name in type(self).model_fields)


class LateConfig(_Section):
    """Records that arrive after their time. The delay is log-normal."""

    percent: float = Field(default=1.0, ge=0, le=50, description="Of the ordinary records.")
    median_seconds: float = Field(default=4, gt=0, le=3600)
    sigma: float = Field(default=0.8, ge=0, le=3, description="Of the delay's natural logarithm.")
    longest_seconds: float = Field(default=60, gt=0, le=3600, description="Longer delays are cut to this.")


class ClockSkewConfig(_Section):
    """Merchants whose clocks are wrong, each by an amount of its own."""

    merchant_percent: float = Field(default=1.0, ge=0, le=100)
    longest_ms: int = Field(default=500, ge=0, le=600_000, description="Fast or slow by at most so much.")


class SurgeConfig(_Section):
    """Times that come again and again. The first begins when the run is a whole period old."""

    every_seconds: float = Field(default=0, ge=0, le=86_400, description="From one to the next; 0: none.")
    seconds: float = Field(default=5, gt=0, le=86_400)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.every_seconds and self.seconds >= self.every_seconds:
            raise ValueError(f"seconds ({self.seconds}) must be below every_seconds ({self.every_seconds})")
        return self


class BurstsConfig(SurgeConfig):
    """Times of more traffic."""

    seconds: float = Field(default=10, gt=0, le=86_400)
    factor: float = Field(default=5, gt=0, le=100, description="The rate meanwhile, relative.")


class PausesConfig(SurgeConfig):
    """Times without traffic."""


class DisturbancesConfig(_Section):
    """What goes wrong on the way, with a known answer."""

    malformed_percent: float = Field(default=1.0, ge=0, le=50, description="Of all records.")
    duplicate_percent: float = Field(default=0, ge=0, le=50, description="Of the ordinary records: sent once more.")
    late: LateConfig = LateConfig()
    clock_skew: ClockSkewConfig = ClockSkewConfig()
    bursts: BurstsConfig = BurstsConfig()
    pauses: PausesConfig = PausesConfig()


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
    accounts: int = Field(default=2000, ge=100, le=10_000_000, description="Least size of the account pool.")
    merchants_per_country: int = Field(default=40, ge=13, le=10_000)
    fraud_percent: float = Field(default=2.0, ge=0, le=50, description="Of all records.")
    scenarios: ScenariosConfig = ScenariosConfig()
    disturbances: DisturbancesConfig = DisturbancesConfig()
    ledger: LedgerConfig = LedgerConfig()

    @field_validator("rate_per_second")
    @classmethod
    def _possible(cls, rate: float) -> float:
        if rate != 0 and not 0.1 <= rate <= 1_000_000:
            raise ValueError("a rate is 0.1 to 1000000 records a second, or 0 for as fast as possible")
        return rate

    @model_validator(mode="after")
    def _some_scenario(self) -> Self:
        if self.fraud_percent > 0 and not self.scenarios.total_weight:
            raise ValueError("fraud_percent is above 0, so one of the scenarios needs a weight above 0")
        return self

    @property
    def pool_size(self) -> int:
        """How many accounts there are: `accounts`, or more where the rate needs them (see _ACCOUNTS_PER_RATE)."""
        realistic = min(round(self.planned_rate * _ACCOUNTS_PER_RATE), _MOST_FOR_REALISM)
        return max(self.accounts, realistic, round(self.planned_rate * _ACCOUNTS_PER_HIGH_RATE))

    @property
    def planned_rate(self) -> float:
        """The rate that the pool is made for: the configured one, as far as machines reach it."""
        return min(self.rate_per_second or FASTEST_PER_SECOND, FASTEST_PER_SECOND)


def load_config(path: Path | None = None, *, seed: int | None = None, rate: float | None = None) -> GeneratorConfig:
    """The configuration in `path` (default: `generator.yaml` of the configuration folder), with what the command line
    gave put over it. Raises ConfigError.
    """
    config = load_yaml(path or config_path(), GeneratorConfig)
    given = {name: value for name, value in (("seed", seed), ("rate_per_second", rate)) if value is not None}
    try:
        return GeneratorConfig.model_validate({**config.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            "command line", f"{first['msg']} (found {first['input']!r})", path=str(first["loc"][0])
        ) from error


def config_path() -> Path:
    """Where the configuration is read from by default."""
    return config_folder() / "generator.yaml"
