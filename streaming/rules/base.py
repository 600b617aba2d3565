"""What every alerting rule has, and the shape of an alert made of a rule's hits.

A rule is a function of a table: given the name of a view of valid transactions and the column that orders one
account's transactions by arrival, it is a SELECT of the transactions it hits. The same SELECT runs over the stream
(arrival is processing time) and over history (arrival is the Kafka position).
"""

import hashlib
import json
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from contracts.schema import load_contract
from streaming.rules.identity import alert_id
from streaming.validation import quote

Severity = Literal["low", "medium", "high", "critical"]


def _text_only(value: object) -> object:
    if isinstance(value, str | Decimal):
        return value
    raise ValueError(
        'write money as text in quotes, like "5000.00": unquoted it would pass through binary floating point'
    )


def _in_hundredths(amount: Decimal) -> Decimal:
    """As it is compared and hashed: "5000" and "5000.00" are one amount."""
    return amount.quantize(Decimal("0.01"))


Money = Annotated[
    Decimal,
    BeforeValidator(_text_only),
    Field(ge=0, max_digits=14, decimal_places=2),
    AfterValidator(_in_hundredths),
]


def allowed_by_contract(field: str) -> Callable[[str], str]:
    """A check that a value is one that the transaction contract allows for `field`, by its enum or pattern."""

    def check(value: str) -> str:
        rules = load_contract("transaction").field(field).rules
        if value not in rules.get("enum", [value]) or not re.search(rules.get("pattern", ""), value):
            raise ValueError(f"no such {field.replace('_', ' ')} in the contract")
        return value

    return check


Currency = Annotated[str, AfterValidator(allowed_by_contract("currency"))]
AmountByCurrency = Annotated[dict[Currency, Money], Field(min_length=1)]


@dataclass(frozen=True)
class Judged:
    """A verdict recomputed: whether it `holds`, and what was compared, in `words`."""

    holds: bool
    words: str


class Rule(BaseModel):
    """One rule of `config/alerting-rules.yaml`. Kinds derive from it, one a file.

    `version` is the author's; without one the rule's content hash stands in its place on every alert.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")
    severity: Severity
    enabled: bool = True

    def content(self) -> dict[str, Any]:
        """What a version stands for: everything that decides which alerts there are and what they say."""
        return self.model_dump(mode="json", exclude={"version", "enabled"}, exclude_none=True)

    @property
    def content_hash(self) -> str:
        """Twelve hexadecimal digits of the content's SHA-256."""
        text = json.dumps(self.content(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def rule_version(self) -> str:
        """The version that alerts carry."""
        return self.version or self.content_hash

    @property
    def memory_seconds(self) -> int:
        """How far back, in seconds of event time, transactions bear on a verdict; 0 where each is judged alone."""
        return 0

    @abstractmethod
    def hits(self, transactions: str, arrival: str) -> str:
        """SQL for the hit transactions: `hit_columns` and the evidence map."""

    @classmethod
    @abstractmethod
    def judged(cls, found: Mapping[str, str]) -> "Judged":
        """The verdict once more, from the evidence `found` on an alert. Raises KeyError for that of another kind."""

    def alerts(self, transactions: str, arrival: str) -> str:
        """SQL for this rule's alerts, columns as in the alert contract."""
        return f"""SELECT {alert_id(self.id, self.rule_version)} AS alert_id,
  transaction_id, account_id,
  {quote(self.id)} AS rule_id, {quote(self.rule_version)} AS rule_version, {quote(self.severity)} AS severity,
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


def one_of(column: str, values: tuple[str, ...]) -> str:
    """SQL for a further condition: `column` is one of `values`; none where there are no values."""
    return f"\n  AND {column} IN ({', '.join(map(quote, values))})" if values else ""


def hit_columns() -> str:
    """List the columns of a hit: those of the transaction, since an alert's id covers it whole, and its position."""
    columns = [f"`{field.column}`" for field in load_contract("transaction").fields]
    return ", ".join([*columns, "kafka_partition", "kafka_offset"])
