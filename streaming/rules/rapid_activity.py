"""rapid_activity: many transactions of one account, or a large total, within a span of event time.

A transaction is judged the moment it arrives, without waiting for a watermark. It is compared with the `lookback`
transactions of its account that arrived last before it; those of them whose event time lies within `window_seconds`
before its own, both ends included, contribute, and so does it itself. What that means for records out of order:

* One that arrives late is compared with its own past: what happened after it does not contribute.
* Those that were judged before it arrived are not judged again.

The verdict depends on the order of arrival and on event times alone, so a replay of the log gives the same ones, and
the state of an account is `lookback` + 1 short rows, however many transactions it has made.

Every rule of this kind in a book looks at the same frame of rows, the longest `lookback` among them, and takes its
own part of it: Flink 2.1 takes two window aggregates that differ in nothing but their frame for one, so each rule
with a frame of its own would silently be judged by another's. It also means one state for all of them.
"""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from streaming.rules.base import HIT_COLUMNS, AmountByCurrency, Rule, by_currency, evidence
from streaming.validation import quote

# Over history no array of timestamps with a time zone can be compared; the session's zone is UTC.
_UTC = "CAST(event_time AS TIMESTAMP(3))"
# What out-of-order arrivals may push aside: places beyond the count that are looked back to without being asked.
_SLACK = 5


class RapidActivity(Rule):
    """Hits a transaction where more than `count` contribute, and their total is above that of `total_amounts`.

    At least one of both must be given. A total is of one currency, the transaction's own; where that has no limit the
    transaction is no hit. `lookback` bounds how many contribute at all; by default 5 more than `count`.
    """

    kind: Literal["rapid_activity"]
    count: int | None = Field(default=None, ge=1, le=95)
    total_amounts: AmountByCurrency | None = None
    window_seconds: int = Field(ge=1, le=604_800)
    lookback: int = Field(default=0, ge=0, le=100)
    frame: int = Field(default=0, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _looks_back_far_enough(cls, given: object) -> object:
        if isinstance(given, dict) and "lookback" not in given:
            count = given.get("count")
            return {**given, "lookback": (count if isinstance(count, int) and count > 0 else 15) + _SLACK}
        return given

    @field_validator("frame", mode="before")
    @classmethod
    def _frame_is_the_books(cls, frame: object) -> object:
        raise ValueError("unknown key; how far a rule looks back is its lookback")

    @model_validator(mode="after")
    def _can_hit(self) -> Self:
        if self.count is None and self.total_amounts is None:
            raise ValueError("there is no limit: give count, total_amounts or both")
        if self.lookback < (self.count or 1):
            raise ValueError(f"lookback {self.lookback} is too short for a count of {self.count or 1}: no hit ever")
        return self

    @property
    def memory_seconds(self) -> int:
        return self.window_seconds

    def hits(self, transactions: str, arrival: str) -> str:
        # From the oldest place to the row's own, counted from the end; before an account's first row all is NULL.
        ordered = [f"places - {back}" for back in range(self.lookback, 0, -1)] + ["places"]
        near = {place: f"times[{place}] BETWEEN window_start AND event_utc" for place in ordered}
        recent = {"times": _UTC, "ids": "transaction_id"}
        judged = {"contributing": " + ".join(f"CASE WHEN {is_near} THEN 1 ELSE 0 END" for is_near in near.values())}
        conditions = [f"contributing > {self.count}"] if self.count is not None else []
        found = {
            "count": "CAST(contributing AS STRING)",
            **({"limit": quote(str(self.count))} if self.count is not None else {}),
            "window_seconds": quote(str(self.window_seconds)),
            "lookback": quote(str(self.lookback)),
        }
        columns = HIT_COLUMNS
        if self.total_amounts is not None:
            # In hundredths, as whole numbers: adding decimals would widen their type a hundred times over.
            recent |= {"hundredths": "CAST(amount * 100 AS BIGINT)", "currencies": "currency"}
            judged["total"] = " + ".join(
                f"CASE WHEN {is_near} AND currencies[{place}] = currency THEN hundredths[{place}] ELSE 0 END"
                for place, is_near in near.items()
            )
            limit, total = by_currency(self.total_amounts), "CAST(total * 0.01 AS DECIMAL(18, 2))"
            conditions.append(f"{total} > {limit}")
            found |= {
                "total_amount": f"CAST({total} AS STRING)",
                "amount_limit": f"CAST({limit} AS STRING)",
                "currency": "currency",
            }
            columns = f"{HIT_COLUMNS}, currency"
        contributors = ", ".join(f"CASE WHEN {is_near} THEN ids[{place}] END" for place, is_near in near.items())
        found["transaction_ids"] = f"ARRAY_JOIN(ARRAY[{contributors}], ' ')"
        arrays = ",\n      ".join(f"ARRAY_AGG({value}) OVER recent AS {name}" for name, value in recent.items())
        # An UNNEST of one value keeps the planner from copying the sum into every place that uses it.
        sums = "\n".join(f"CROSS JOIN UNNEST(ARRAY[{value}]) AS {name}_of({name})" for name, value in judged.items())
        frame = max(self.frame, self.lookback)
        return f"""SELECT {HIT_COLUMNS},
  {evidence(**found)}
FROM (
  SELECT *, CARDINALITY(times) AS places, TIMESTAMPADD(SECOND, -{self.window_seconds}, event_utc) AS window_start
  FROM (
    SELECT {columns}, {_UTC} AS event_utc,
      {arrays}
    FROM {transactions}
    WINDOW recent AS (PARTITION BY account_id ORDER BY {arrival} ROWS BETWEEN {frame} PRECEDING AND CURRENT ROW)
  )
)
{sums}
WHERE {" AND ".join(conditions)}"""
