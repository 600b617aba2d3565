"""unusual_hour: a considerable amount in the night hours of the transaction's country."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from streaming.rules.base import AmountByCurrency, Judged, Rule, by_currency, evidence, hit_columns
from streaming.validation import quote


class UnusualHour(Rule):
    """Hits amounts of at least `minimum_amounts` from `start_hour` (inclusive) to `end_hour` (exclusive) local time.

    The span may pass midnight. `zones` maps countries to IANA time zones; other countries are judged in UTC.
    """

    kind: Literal["unusual_hour"]
    start_hour: int = Field(ge=0, le=23)
    end_hour: int = Field(ge=0, le=24)
    minimum_amounts: AmountByCurrency
    zones: dict[str, str] = Field(default_factory=dict, exclude=True)

    @field_validator("zones", mode="before")
    @classmethod
    def _zones_are_not_the_rules(cls, zones: object) -> object:
        raise ValueError("unknown key; time zones stand at the top of the file, under time_zones")

    @model_validator(mode="after")
    def _span_is_not_empty(self) -> Self:
        if self.start_hour == self.end_hour:
            raise ValueError(f"start_hour and end_hour are both {self.start_hour}: the span is empty")
        return self

    def content(self) -> dict[str, Any]:
        return {**super().content(), "zones": self.zones}

    def hits(self, transactions: str, arrival: str) -> str:
        zone = "'UTC'"
        if self.zones:
            branches = " ".join(
                f"WHEN {quote(country)} THEN {quote(name)}" for country, name in sorted(self.zones.items())
            )
            zone = f"CASE country {branches} ELSE 'UTC' END"
        utc = "DATE_FORMAT(CAST(event_time AS TIMESTAMP(3)), 'yyyy-MM-dd HH:mm:ss')"
        both = "AND" if self.start_hour < self.end_hour else "OR"
        found = evidence(
            local_hour="CAST(local_hour AS STRING)",
            start_hour=quote(str(self.start_hour)),
            end_hour=quote(str(self.end_hour)),
            time_zone="time_zone",
            amount="CAST(amount AS STRING)",
            minimum_amount="CAST(minimum_amount AS STRING)",
            currency="currency",
        )
        return f"""SELECT {hit_columns()},
  {found}
FROM (
  SELECT t.*, z.time_zone,
    CAST(SUBSTRING(CONVERT_TZ({utc}, 'UTC', z.time_zone) FROM 12 FOR 2) AS INT) AS local_hour
  FROM (
    SELECT *, {by_currency(self.minimum_amounts)} AS minimum_amount FROM {transactions}
  ) AS t
  CROSS JOIN UNNEST(ARRAY[{zone}]) AS z(time_zone)
  WHERE t.amount >= t.minimum_amount
)
WHERE local_hour >= {self.start_hour} {both} local_hour < {self.end_hour}"""

    @classmethod
    def judged(cls, found: Mapping[str, str]) -> Judged:
        hour, start, end = (int(found[name]) for name in ("local_hour", "start_hour", "end_hour"))
        amount, least = Decimal(found["amount"]), Decimal(found["minimum_amount"])
        unusual = start <= hour < end if start < end else hour >= start or hour < end
        return Judged(
            unusual and amount >= least,
            f"it was {hour} o'clock in {found['time_zone']}, between {start} and {end}, and the amount "
            f"{amount:,} {found['currency']} is at least {least:,}",
        )
