"""rapid_activity: more than a number of transactions of one account within a span of event time.

A transaction is compared with the one that arrived `count` places before it on the same account, by event time. So
it is judged at once, without waiting for a watermark, and the state is `count` event times an account. A record
that arrives late, long before the others in event time, is not near them and is no hit.
"""

from typing import Literal

from pydantic import Field

from streaming.rules.base import HIT_COLUMNS, Rule, evidence
from streaming.validation import quote

# Over history LAG knows no timestamps with a time zone; the session's zone is UTC.
_UTC = "CAST(event_time AS TIMESTAMP(3))"


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
  SELECT {HIT_COLUMNS}, {_UTC} AS event_utc,
    LAG({_UTC}, {self.count}) OVER (PARTITION BY account_id ORDER BY {arrival}) AS earlier
  FROM {transactions}
)
WHERE event_utc <= TIMESTAMPADD(SECOND, {self.window_seconds}, earlier)
  AND event_utc >= TIMESTAMPADD(SECOND, -{self.window_seconds}, earlier)"""
