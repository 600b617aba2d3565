"""rapid_activity: many transactions of one account, or a large total, within a span of event time.

A transaction is judged the moment it arrives, without waiting for a watermark. It is compared with the `lookback`
transactions of its account that arrived last before it; those of them whose event time lies within `window_seconds`
before its own, both ends included, contribute, and so does it itself. What that means for records out of order:

* One that arrives late is compared with its own past: what happened after it does not contribute.
* Those that were judged before it arrived are not judged again.

The verdict depends on the order of arrival and on event times alone, so a replay of the log gives the same ones, and
the state of an account is bounded by `lookback`, however many transactions it has made.

What an account did before comes from LAG, one call a place, each of one value that has all of a transaction: every call
keeps a queue of its own. Numbering an account's transactions and keeping each in one of a ring of LAST_VALUEs takes
less state where the lookback is long, but a second exchange: 4 us a record more, and up to 5 ms of latency. An array
of the last rows (ARRAY_AGG over ROWS) is dearer than both; also, Flink 2.1 silently takes two such aggregates that
differ in nothing but their frame for one.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from streaming.rules.base import AmountByCurrency, Judged, Rule, by_currency, evidence, hit_columns
from streaming.validation import quote

# Times as text with milliseconds, which sorts as they do; the session's zone is UTC.
_UTC = "CAST(event_time AS TIMESTAMP(3))"
# How far a rule without a count looks back, where it does not say.
_PLACES = 15


class RapidActivity(Rule):
    """Hits a transaction where more than `count` contribute, and their total is above that of `total_amounts`.

    At least one of both must be given. A total is of one currency, the transaction's own; where that has no limit the
    transaction is no hit. `lookback` bounds how many contribute at all; by default `count`.
    """

    kind: Literal["rapid_activity"]
    count: int | None = Field(default=None, ge=1, le=25)
    total_amounts: AmountByCurrency | None = None
    window_seconds: int = Field(ge=1, le=604_800)
    # The state of an account grows with the square of it: 1.3 KB at 5, 30 KB at 30.
    lookback: int = Field(default=0, ge=0, le=30)

    @model_validator(mode="before")
    @classmethod
    def _looks_back_far_enough(cls, given: object) -> object:
        if isinstance(given, dict) and "lookback" not in given:
            count = given.get("count")
            return {**given, "lookback": count if isinstance(count, int) and count > 0 else _PLACES}
        return given

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
        places = range(self.lookback, 0, -1)  # from the oldest to the newest
        near = {place: f"before_{place} BETWEEN earliest AND latest" for place in places}
        known = f"CAST({_UTC} AS STRING)"
        judged = {
            "contributing": " + ".join([*(f"CASE WHEN {near[place]} THEN 1 ELSE 0 END" for place in places), "1"])
        }
        conditions = [f"contributing > {self.count}"] if self.count is not None else []
        found = {
            "count": "CAST(contributing AS STRING)",
            **({"limit": quote(str(self.count))} if self.count is not None else {}),
            "window_seconds": quote(str(self.window_seconds)),
            "lookback": quote(str(self.lookback)),
        }
        columns = hit_columns()
        if self.total_amounts is not None:
            # In hundredths, as whole numbers: adding decimals would widen their type with every place.
            hundredths = "CAST(amount * 100 AS BIGINT)"
            columns = f"{hit_columns()}, {hundredths} AS hundredths"
            known += f" || ' ' || currency || ' ' || CAST({hundredths} AS STRING)"
            judged["total"] = " + ".join(
                [
                    *(
                        f"CASE WHEN {near[place]} AND SPLIT_INDEX(before_{place}, ' ', 2) = currency "
                        f"THEN CAST(SPLIT_INDEX(before_{place}, ' ', 3) AS BIGINT) ELSE 0 END"
                        for place in places
                    ),
                    "hundredths",
                ]
            )
            limit, total = by_currency(self.total_amounts), "CAST(total * 0.01 AS DECIMAL(18, 2))"
            conditions.append(f"{total} > {limit}")
            found |= {
                "total_amount": f"CAST({total} AS STRING)",
                "amount_limit": f"CAST({limit} AS STRING)",
                "currency": "currency",
            }
        ids = (f"CASE WHEN {near[place]} THEN REGEXP_EXTRACT(before_{place}, '[^ ]*$') END" for place in places)
        found["transaction_ids"] = f"ARRAY_JOIN(ARRAY[{', '.join([*ids, 'transaction_id'])}], ' ')"
        past = ",\n      ".join(
            f"LAG(this_one, {place}) OVER (PARTITION BY account_id ORDER BY turn) AS before_{place}" for place in places
        )
        # An UNNEST of one value keeps the planner from copying the sum into every place that uses it.
        sums = "\n".join(f"CROSS JOIN UNNEST(ARRAY[{value}]) AS {name}_of({name})" for name, value in judged.items())
        return f"""SELECT {hit_columns()},
  {evidence(**found)}
FROM (
  SELECT *, CAST(TIMESTAMPADD(SECOND, -{self.window_seconds}, {_UTC}) AS STRING) AS earliest,
    CAST({_UTC} AS STRING) || '~' AS latest
  FROM (
    SELECT *,
      {past}
    FROM (SELECT {columns}, {known} || ' ' || transaction_id AS this_one, {arrival} AS turn FROM {transactions})
  )
)
{sums}
WHERE {" AND ".join(conditions)}"""

    @classmethod
    def judged(cls, found: Mapping[str, str]) -> Judged:
        count, within = int(found["count"]), f"within {found['window_seconds']} s"
        holds, words = True, []
        if "limit" in found:
            holds = count > int(found["limit"])
            words.append(f"{count} transactions {within} are more than {found['limit']}")
        if "total_amount" in found:
            total, limit = Decimal(found["total_amount"]), Decimal(found["amount_limit"])
            holds = holds and total > limit
            words.append(f"their total {within}, {total:,} {found['currency']}, is above {limit:,}")
        return Judged(holds, " and ".join(words))
