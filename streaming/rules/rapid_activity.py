"""rapid_activity: more than a number of transactions of one account within a span of event time.

A transaction is compared with the one that arrived `count` places before it on the same account, by event time. So
it is judged at once, without waiting for a watermark, and the state is `count` event times an account.
"""

from typing import Literal

from pydantic import Field

from streaming.rules.base import HIT_COLUMNS, Rule, evidence
from streaming.validation import quote


class RapidActivity(Rule):
    """Hits every transaction that is at least the (`count` + 1)-th of its account within `window_seconds`."""

    kind: Literal["rapid_activity"]
    count: int = Field(ge=1, le=1000)
    window_seconds: int = Field(ge=1, le=86_400)

    def hits(self, transactions: str, arrival: str) -> str:
        found = evidence(
            count=quote(str(self.count + 1)),
            limit=quote(str(self.count)),
            window_seconds=quote(str(self.window_seconds)),
            first_event_time="REPLACE(CAST(earlier AS STRING), ' ', 'T') || 'Z'",
        )
        return f"""SELECT {HIT_COLUMNS},
  {found}
FROM (
  SELECT {HIT_COLUMNS},
    LAG(event_time, {self.count}) OVER (PARTITION BY account_id ORDER BY {arrival}) AS earlier
  FROM {transactions}
)
WHERE event_time <= TIMESTAMPADD(SECOND, {self.window_seconds}, earlier)"""
