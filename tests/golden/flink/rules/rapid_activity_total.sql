SELECT SHA256('spending
379e7bbb3e10
' || transaction_id) AS alert_id, transaction_id, account_id,
  'spending' AS rule_id, '379e7bbb3e10' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '2', 'window_seconds', '600', 'lookback', '3', 'total_amount', CAST(CAST(total * 0.01 AS DECIMAL(18, 2)) AS STRING), 'amount_limit', CAST(CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency, 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN before_3 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_3, '[^ ]*$') END, CASE WHEN before_2 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_2, '[^ ]*$') END, CASE WHEN before_1 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_1, '[^ ]*$') END, transaction_id], ' ')] AS evidence
FROM (
  SELECT *, CAST(TIMESTAMPADD(SECOND, -600, CAST(event_time AS TIMESTAMP(3))) AS STRING) AS earliest,
    CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || '~' AS latest
  FROM (
    SELECT *,
      LAG(this_one, 3) OVER (PARTITION BY account_id ORDER BY turn) AS before_3,
      LAG(this_one, 2) OVER (PARTITION BY account_id ORDER BY turn) AS before_2,
      LAG(this_one, 1) OVER (PARTITION BY account_id ORDER BY turn) AS before_1
    FROM (SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, currency, CAST(amount * 100 AS BIGINT) AS hundredths, CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || ' ' || currency || ' ' || CAST(CAST(amount * 100 AS BIGINT) AS STRING) || ' ' || transaction_id AS this_one, arrived AS turn FROM some_transactions)
  )
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN before_3 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_2 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_1 BETWEEN earliest AND latest THEN 1 ELSE 0 END + 1]) AS contributing_of(contributing)
CROSS JOIN UNNEST(ARRAY[CASE WHEN before_3 BETWEEN earliest AND latest AND SPLIT_INDEX(before_3, ' ', 2) = currency THEN CAST(SPLIT_INDEX(before_3, ' ', 3) AS BIGINT) ELSE 0 END + CASE WHEN before_2 BETWEEN earliest AND latest AND SPLIT_INDEX(before_2, ' ', 2) = currency THEN CAST(SPLIT_INDEX(before_2, ' ', 3) AS BIGINT) ELSE 0 END + CASE WHEN before_1 BETWEEN earliest AND latest AND SPLIT_INDEX(before_1, ' ', 2) = currency THEN CAST(SPLIT_INDEX(before_1, ' ', 3) AS BIGINT) ELSE 0 END + hundredths]) AS total_of(total)
WHERE contributing > 2 AND CAST(total * 0.01 AS DECIMAL(18, 2)) > CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2))
)
