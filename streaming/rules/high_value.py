"""high_value: an amount above the threshold of its currency."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator

from streaming.rules.base import (
    AmountByCurrency,
    Judged,
    Rule,
    allowed_by_contract,
    by_currency,
    evidence,
    hit_columns,
    one_of,
)

Category = Annotated[str, AfterValidator(allowed_by_contract("merchant_category"))]
Channel = Annotated[str, AfterValidator(allowed_by_contract("channel"))]


class HighValue(Rule):
    """Hits a transaction whose amount is above `thresholds` of its currency; other currencies are not judged.

    `merchant_categories` and `channels` narrow it to those named; empty, it judges all.
    """

    kind: Literal["high_value"]
    thresholds: AmountByCurrency
    merchant_categories: tuple[Category, ...] = ()
    channels: tuple[Channel, ...] = ()

    def hits(self, transactions: str, arrival: str) -> str:
        threshold = by_currency(self.thresholds)
        narrowing = {"merchant_category": self.merchant_categories, "channel": self.channels}
        found = evidence(
            amount="CAST(amount AS STRING)",
            threshold=f"CAST({threshold} AS STRING)",
            currency="currency",
            **{column: column for column, values in narrowing.items() if values},
        )
        narrowed = "".join(one_of(column, values) for column, values in narrowing.items())
        return f"SELECT {hit_columns()},\n  {found}\nFROM {transactions}\nWHERE amount > {threshold}{narrowed}"

    @classmethod
    def judged(cls, found: Mapping[str, str]) -> Judged:
        amount, threshold = Decimal(found["amount"]), Decimal(found["threshold"])
        return Judged(
            amount > threshold, f"the amount {amount:,} {found['currency']} is above {threshold:,}, the threshold"
        )
