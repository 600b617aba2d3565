"""What every alerting rule has, and the shape of an alert made of a rule's hits.

A rule is a function of a table: given the name of a view of valid transactions and the column that orders one
account's transactions by arrival, it is a SELECT of the transactions it hits. The same SELECT runs over the stream
(arrival is processing time) and over history (arrival is the Kafka position).
"""

from abc import abstractmethod
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from contracts.schema import load_contract
from streaming.validation import quote

Severity = Literal["low", "medium", "high", "critical"]


def _text_only(value: object) -> object:
    if isinstance(value, str | Decimal):
        return value
    raise ValueError(
        'write money as text in quotes, like "5000.00": unquoted it would pass through binary floating point'
    )


Money = Annotated[Decimal, BeforeValidator(_text_only), Field(ge=0, max_digits=14, decimal_places=2)]


def _known_currency(code: str) -> str:
    if code not in load_contract("transaction").field("currency").rules["enum"]:
        raise ValueError("no such currency in the contract")
    return code


AmountByCurrency = Annotated[dict[Annotated[str, AfterValidator(_known_currency)], Money], Field(min_length=1)]


class Rule(BaseModel):
    """One rule of `config/alerting-rules.yaml`. Kinds derive from it, one a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")
    severity: Severity
    enabled: bool = True

    @abstractmethod
    def hits(self, transactions: str, arrival: str) -> str:
        """SQL for the hit transactions: their id, account, event time and Kafka position, and the evidence map."""

    def alerts(self, transactions: str, arrival: str) -> str:
        """SQL for this rule's alerts, columns as in the alert contract."""
        identity = f"{quote(self.id + chr(10) + self.version + chr(10))} || transaction_id"
        return f"""SELECT SHA256({identity}) AS alert_id, transaction_id, account_id,
  {quote(self.id)} AS rule_id, {quote(self.version)} AS rule_version, {quote(self.severity)} AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
{self.hits(transactions, arrival)}
)"""


def by_currency(amounts: dict[str, Decimal]) -> str:
    """SQL for the amount of the row's currency; NULL for a currency that is not listed."""
    branches = " ".join(f"WHEN {quote(currency)} THEN {amount:.2f}" for currency, amount in sorted(amounts.items()))
    return f"CAST(CASE currency {branches} END AS DECIMAL(14, 2))"


def evidence(**values: str) -> str:
    """SQL for an evidence map of SQL texts, by name."""
    pairs = ", ".join(f"{quote(name)}, {value}" for name, value in values.items())
    return f"MAP[{pairs}] AS evidence"


HIT_COLUMNS = "transaction_id, account_id, event_time, kafka_partition, kafka_offset"
