"""The rule book: `config/alerting-rules.yaml` as typed rules. A new kind is one file and one entry in `AnyRule`."""

from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contracts.errors import ConfigError
from contracts.paths import config_folder
from contracts.schema import load_contract
from contracts.yaml_files import load_yaml
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour

AnyRule = Annotated[HighValue | RapidActivity | UnusualHour, Field(discriminator="kind")]


class RuleBook(BaseModel):
    """Every rule, enabled or not, in the order of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zones: dict[str, str] = Field(default_factory=dict)
    rules: tuple[AnyRule, ...] = Field(min_length=1)

    @field_validator("time_zones")
    @classmethod
    def _zones_exist(cls, zones: dict[str, str]) -> dict[str, str]:
        countries = load_contract("transaction").field("country").rules["enum"]
        for country, zone in zones.items():
            if country not in countries:
                raise ValueError(f"no such country in the contract: {country}")
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError(f"{country}: no such time zone: {zone}") from None
        return zones

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.id in seen:
                raise ValueError(f"two rules are called {rule.id}")
            seen.add(rule.id)
        return self

    @property
    def in_force(self) -> tuple[AnyRule, ...]:
        """The enabled rules."""
        return tuple(
            rule.model_copy(update={"zones": self.time_zones}) if isinstance(rule, UnusualHour) else rule
            for rule in self.rules
            if rule.enabled
        )

    def alerts(self, transactions: str, arrival: str) -> str:
        """SQL for the alerts of every enabled rule over the view `transactions`."""
        return "\nUNION ALL\n".join(rule.alerts(transactions, arrival) for rule in self.in_force)


def load_rules(folder: Path | None = None) -> RuleBook:
    """The rule book in `folder` (default: the configuration folder).

    Raises ConfigError with file, line and reason; also where no rule is enabled, since there is nothing to run.
    """
    path = (folder or config_folder()) / "alerting-rules.yaml"
    book = load_yaml(path, RuleBook)
    if not book.in_force:
        raise ConfigError(path, "no rule is enabled; enable at least one", path="rules")
    return book
