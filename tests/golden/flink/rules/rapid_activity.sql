SELECT SHA256('rapid
2.0
' || transaction_id) AS alert_id, transaction_id, account_id,
  'rapid' AS rule_id, '2.0' AS rule_version, 'critical' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '5', 'window_seconds', '60', 'lookback', '5', 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN before_5 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_5, '[^ ]*$') END, CASE WHEN before_4 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_4, '[^ ]*$') END, CASE WHEN before_3 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_3, '[^ ]*$') END, CASE WHEN before_2 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_2, '[^ ]*$') END, CASE WHEN before_1 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_1, '[^ ]*$') END, transaction_id], ' ')] AS evidence
FROM (
  SELECT *, CAST(TIMESTAMPADD(SECOND, -60, CAST(event_time AS TIMESTAMP(3))) AS STRING) AS earliest,
    CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || '~' AS latest
  FROM (
    SELECT *,
      LAG(this_one, 5) OVER (PARTITION BY account_id ORDER BY turn) AS before_5,
      LAG(this_one, 4) OVER (PARTITION BY account_id ORDER BY turn) AS before_4,
      LAG(this_one, 3) OVER (PARTITION BY account_id ORDER BY turn) AS before_3,
      LAG(this_one, 2) OVER (PARTITION BY account_id ORDER BY turn) AS before_2,
      LAG(this_one, 1) OVER (PARTITION BY account_id ORDER BY turn) AS before_1
    FROM (SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || ' ' || transaction_id AS this_one, arrived AS turn FROM some_transactions)
  )
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN before_5 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_4 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_3 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_2 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_1 BETWEEN earliest AND latest THEN 1 ELSE 0 END + 1]) AS contributing_of(contributing)
WHERE contributing > 5
)
