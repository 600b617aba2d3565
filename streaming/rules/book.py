"""The rule book: `config/alerting-rules.yaml` as typed rules. A new kind is one file and one entry in `AnyRule`."""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from contracts.paths import config_folder
from contracts.yaml_files import load_yaml
from streaming.rules.base import allowed_by_contract
from streaming.rules.high_value import HighValue
from streaming.rules.rapid_activity import RapidActivity
from streaming.rules.unusual_hour import UnusualHour

RULES_FILE = "alerting-rules.yaml"
AnyRule = Annotated[HighValue | RapidActivity | UnusualHour, Field(discriminator="kind")]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        raise ValueError("no such time zone") from None
    return name


Country = Annotated[str, AfterValidator(allowed_by_contract("country"))]
Zone = Annotated[str, AfterValidator(_known_zone)]


class RuleBook(BaseModel):
    """Every rule, enabled or not, in the order of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time_zones: dict[Country, Zone] = Field(default_factory=dict)
    rules: tuple[AnyRule, ...] = Field(min_length=1)

    @field_validator("rules")
    @classmethod
    def _can_run(cls, rules: tuple[AnyRule, ...]) -> tuple[AnyRule, ...]:
        for number, rule in enumerate(rules):
            if rule.id in {other.id for other in rules[:number]}:
                raise ValueError(f"two rules are called {rule.id}")
        if not any(rule.enabled for rule in rules):
            raise ValueError("no rule is enabled; enable at least one")
        return rules

    @property
    def in_force(self) -> tuple[AnyRule, ...]:
        """The enabled rules."""
        return tuple(
            rule.model_copy(update={"zones": self.time_zones}) if isinstance(rule, UnusualHour) else rule
            for rule in self.rules
            if rule.enabled
        )

    @property
    def memory_seconds(self) -> int:
        """How far back, in seconds of event time, transactions bear on a verdict of any enabled rule."""
        return max(rule.memory_seconds for rule in self.in_force)

    def alerts(self, transactions: str, arrival: str) -> str:
        """SQL for the alerts of every enabled rule over the view `transactions`."""
        return "\nUNION ALL\n".join(rule.alerts(transactions, arrival) for rule in self.in_force)


def load_rules(folder: Path | None = None) -> RuleBook:
    """The rule book in `folder` (default: the configuration folder).

    Raises ConfigError with file, line and reason; also where no rule is enabled, since there is nothing to run.
    """
    return load_yaml((folder or config_folder()) / RULES_FILE, RuleBook)


def rules_text(folder: Path | None = None) -> str:
    """The rule file in `folder` (default: the configuration folder), as it was written."""
    return ((folder or config_folder()) / RULES_FILE).read_text(encoding="utf-8")
