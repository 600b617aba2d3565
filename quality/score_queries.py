"""The SQL of the score (DuckDB): the ledger held against the tables, once, into a few small tables of this connection.

What is kept of the ledger is a count of each kind of fate, not its rows: 10 million of them would not fit in the
memory that a query is given. Ids are compared by their 64-bit hashes for the same reason.
The names `{ledger}` and `{lag}` are filled in by the caller.
"""

from typing import Final

from contracts import names

STORED: Final = "score_stored"
CUTS: Final = "score_cuts"
FATES: Final = "score_fates"
TEMPORARY: Final = (STORED, CUTS, FATES)

# Every Kafka position that stands in a table. `id` is null for a dead letter, `reason` for a transaction; a position in
# both tables has both.
MAKE_STORED = f"""CREATE OR REPLACE TEMP TABLE {STORED} AS
SELECT kafka_partition, kafka_offset, count(*) AS copies, max(id) AS id, max(reason) AS reason,
  bool_or(replayed) AS replayed
FROM (
  SELECT kafka_partition, kafka_offset, hash(transaction_id) AS id, NULL AS reason,
    {names.REPLAYED_FROM} IS NOT NULL AS replayed
  FROM {names.TRANSACTIONS}
  UNION ALL
  SELECT partition, "offset", NULL, reason_code, {names.REPLAYED_FROM} IS NOT NULL FROM {names.DEAD_LETTERS}
)
GROUP BY kafka_partition, kafka_offset"""

# Up to which offset of a partition a table must be complete, null where nothing is known of it. Why: quality/score.py.
MAKE_CUTS = f"""CREATE OR REPLACE TEMP TABLE {CUTS} AS
WITH written AS (
  SELECT 'transactions' AS place, kafka_partition, kafka_offset, processed_at AS written_at FROM {names.TRANSACTIONS}
  UNION ALL
  SELECT 'dead_letters', partition, "offset", failed_at FROM {names.DEAD_LETTERS}
),
newest AS (SELECT max(written_at) AS newest_at FROM written),
settled AS (
  SELECT kafka_partition,
    max(kafka_offset) FILTER (place = 'transactions') AS transactions,
    max(kafka_offset) FILTER (place = 'dead_letters') AS dead_letters,
    max(kafka_offset) FILTER (written_at <= newest_at - INTERVAL '{{lag}} milliseconds') AS any_table
  FROM written, newest GROUP BY kafka_partition
),
raised AS (
  SELECT source_partition AS kafka_partition, max(source_offset) AS alerts FROM {names.ALERTS} GROUP BY source_partition
)
-- greatest() passes nulls over.
SELECT kafka_partition, greatest(transactions, any_table) AS transactions,
  greatest(dead_letters, any_table) AS dead_letters, greatest(alerts, any_table) AS alerts
FROM settled LEFT JOIN raised USING (kafka_partition)"""

_SENT = """SELECT hash(run) AS run, incident, scenario, expected = 'valid' AS valid, expected_reason, outcome, sent_at,
    CASE WHEN transaction_id IS NOT NULL THEN hash(transaction_id) END AS id,
    CASE WHEN outcome = 'ok' THEN "partition" END AS kafka_partition,
    CASE WHEN outcome = 'ok' THEN "offset" END AS kafka_offset
  FROM {ledger}"""

# The ledger's records counted by what they were and what became of them. `accepted`: the transaction stands in the
# table; `reason`: it stands in the dead letters; `mismatched`: another transaction stands where it should;
# `due`: the table it belongs to must have it by now; `judged`: so must the alerts; `rules`: those that alerted on it.
MAKE_FATES = f"""CREATE OR REPLACE TEMP TABLE {FATES} AS
WITH sent AS ({_SENT}),
raised AS (
  SELECT source_partition AS kafka_partition, source_offset AS kafka_offset, hash(transaction_id) AS id,
    list_sort(list(rule_id)) AS rules
  FROM {names.ALERTS} GROUP BY ALL
)
SELECT sent.run, sent.incident, sent.scenario, sent.valid, sent.expected_reason, sent.outcome, sent.kafka_partition,
  coalesce(stored.id IS NOT NULL AND (sent.id IS NULL OR sent.id = stored.id), false) AS accepted,
  stored.reason,
  coalesce(stored.id <> sent.id, false) AS mismatched,
  coalesce(sent.kafka_offset <= CASE WHEN sent.valid THEN cuts.transactions ELSE cuts.dead_letters END, false) AS due,
  coalesce(sent.kafka_offset <= cuts.alerts, false) AS judged,
  raised.rules,
  count(*) AS records, min(sent.sent_at) AS first_sent_at, max(sent.sent_at) AS last_sent_at,
  min(sent.kafka_offset) AS first_offset, max(sent.kafka_offset) AS last_offset
FROM sent
LEFT JOIN {STORED} AS stored
  ON stored.kafka_partition = sent.kafka_partition AND stored.kafka_offset = sent.kafka_offset
LEFT JOIN {CUTS} AS cuts ON cuts.kafka_partition = sent.kafka_partition
LEFT JOIN raised
  ON raised.kafka_partition = sent.kafka_partition AND raised.kafka_offset = sent.kafka_offset AND raised.id = sent.id
GROUP BY ALL"""

_FOUND = "(accepted OR reason IS NOT NULL)"
# A position taken by another transaction will never hold this one, so nothing is waited for.
_SCORED = f"(outcome = 'ok' AND ({_FOUND} OR due OR mismatched))"
_JUDGED = "(outcome = 'ok' AND valid AND accepted AND judged)"

TOTALS = f"""SELECT
  coalesce(sum(records), 0)::BIGINT,
  count(DISTINCT run),
  {{}}
  min(first_sent_at) FILTER ({_SCORED}),
  max(last_sent_at) FILTER ({_SCORED})
FROM {FATES}""".format(
    "\n  ".join(
        f"coalesce(sum(records) FILTER ({condition}), 0)::BIGINT,"
        for condition in (
            _SCORED,
            f"outcome = 'ok' AND NOT {_SCORED}",
            f"{_SCORED} AND NOT {_FOUND}",
            "outcome = 'ok' AND mismatched AND reason IS NULL",
            "outcome = 'ok' AND valid AND reason IS NOT NULL",
            "outcome = 'ok' AND NOT valid AND accepted",
            "outcome = 'unknown'",
            "outcome = 'failed'",
            f"outcome = 'ok' AND valid AND accepted AND NOT {_JUDGED}",
        )
    )
)

COPIES = f"SELECT coalesce(sum(copies - 1), 0)::BIGINT FROM {STORED}"

# What stands in `transactions` at positions that the ledger does not have, sorted into: records whose end the producer
# did not know, or took for a failure; ids that stand there more often than they were sent; and all others.
# A repetition counts only between the first and the last position of one run: outside, the original or the repetition
# may have been in a file of the ledger that was deleted or is not written yet. Replays are somebody else's.
# FILTER and not count_if(), which is null over nulls alone.
UNPLACED = f"""WITH placed AS (
  SELECT "partition" AS kafka_partition, "offset" AS kafka_offset FROM {{ledger}} WHERE outcome = 'ok'
),
unplaced AS (
  SELECT * FROM {STORED} ANTI JOIN placed USING (kafka_partition, kafka_offset) WHERE id IS NOT NULL
),
known AS (
  SELECT sent.id, count(*) AS sent, count(*) FILTER (sent.outcome = 'unknown') AS unknown,
    count(*) FILTER (sent.outcome = 'failed') AS failed, count(*) FILTER (stored.id = sent.id) AS placed
  FROM ({_SENT}) AS sent
  LEFT JOIN {STORED} AS stored
    ON stored.kafka_partition = sent.kafka_partition AND stored.kafka_offset = sent.kafka_offset
  WHERE sent.id IN (SELECT id FROM unplaced WHERE NOT replayed)
  GROUP BY sent.id
),
spans AS (
  SELECT kafka_partition, min(first_offset) AS low, max(last_offset) AS high
  FROM {FATES} WHERE outcome = 'ok' GROUP BY run, kafka_partition
),
again AS (
  SELECT known.*, count(*) AS unplaced,
    count(*) FILTER (EXISTS (FROM spans WHERE spans.kafka_partition = unplaced.kafka_partition
      AND unplaced.kafka_offset BETWEEN spans.low AND spans.high)) AS within
  FROM known JOIN unplaced ON unplaced.id = known.id AND NOT unplaced.replayed GROUP BY ALL
),
sorted AS (
  SELECT least(unplaced, unknown) AS late_unknown, least(greatest(unplaced - unknown, 0), failed) AS late_failed,
    greatest(0, least(within, within + placed - sent)) AS repeated
  FROM again
)
SELECT coalesce(sum(late_unknown), 0)::BIGINT, coalesce(sum(late_failed), 0)::BIGINT,
  coalesce(sum(repeated), 0)::BIGINT, (SELECT count(*) FROM unplaced)
FROM sorted"""

REASONS = f"""SELECT reason, sum(expected)::BIGINT, sum(found)::BIGINT, sum(other)::BIGINT, sum(stored)::BIGINT FROM (
  SELECT coalesce(expected_reason, 'unstated') AS reason, sum(records) AS expected,
    coalesce(sum(records) FILTER (reason = expected_reason), 0) AS found,
    coalesce(sum(records) FILTER (reason IS DISTINCT FROM expected_reason AND reason IS NOT NULL), 0) AS other,
    0 AS stored
  FROM {FATES} WHERE {_SCORED} AND NOT valid GROUP BY expected_reason
  UNION ALL
  SELECT reason_code, 0, 0, 0, count(*) FROM {names.DEAD_LETTERS} GROUP BY reason_code
) GROUP BY reason ORDER BY reason"""

RULES = f"""SELECT rule, sum(records)::BIGINT AS alerts,
  coalesce(sum(records) FILTER (scenario <> '{{ordinary}}'), 0)::BIGINT
FROM (SELECT unnest(rules) AS rule, scenario, records FROM {FATES} WHERE rules IS NOT NULL)
GROUP BY rule ORDER BY rule"""

ALERTS = f"SELECT count(*) FROM {names.ALERTS}"

# An incident with a record that may yet be alerted on is left out, whether alerted on or not: counting only those that
# were would flatter the recall.
SCENARIOS = f"""WITH incidents AS (
  SELECT scenario, bool_or(rules IS NOT NULL) FILTER ({_JUDGED}) AS alerted
  FROM {FATES} WHERE incident IS NOT NULL AND outcome = 'ok' AND valid
  GROUP BY scenario, run, incident
  HAVING bool_or({_JUDGED}) AND NOT bool_or((accepted AND NOT judged) OR NOT {_SCORED})
),
raised AS (
  SELECT scenario, list_sort(list(DISTINCT rule)) AS rules
  FROM (SELECT scenario, unnest(rules) AS rule FROM {FATES} WHERE {_JUDGED} AND rules IS NOT NULL) GROUP BY scenario
),
counted AS (
  SELECT scenario, sum(records)::BIGINT AS records,
    coalesce(sum(records) FILTER (rules IS NOT NULL), 0)::BIGINT AS alerted
  FROM {FATES} WHERE {_JUDGED} GROUP BY scenario
)
SELECT scenario, counted.records, counted.alerted, coalesce(found.incidents, 0), coalesce(found.alerted, 0),
  coalesce(raised.rules, [])
FROM counted
LEFT JOIN (
  SELECT scenario, count(*) AS incidents, count(*) FILTER (alerted) AS alerted FROM incidents GROUP BY scenario
) AS found USING (scenario)
LEFT JOIN raised USING (scenario)
ORDER BY scenario"""
