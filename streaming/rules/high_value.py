"""high_value: an amount above the threshold of its currency."""

from typing import Literal

from streaming.rules.base import HIT_COLUMNS, AmountByCurrency, Rule, by_currency, evidence


class HighValue(Rule):
    """Hits a transaction whose amount is above `thresholds` of its currency; other currencies are not judged."""

    kind: Literal["high_value"]
    thresholds: AmountByCurrency

    def hits(self, transactions: str, arrival: str) -> str:
        threshold = by_currency(self.thresholds)
        found = evidence(amount="CAST(amount AS STRING)", threshold=f"CAST({threshold} AS STRING)", currency="currency")
        return f"SELECT {HIT_COLUMNS},\n  {found}\nFROM {transactions}\nWHERE amount > {threshold}"
