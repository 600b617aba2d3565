SELECT SHA256('rapid
2.0
' || transaction_id) AS alert_id, transaction_id, account_id,
  'rapid' AS rule_id, '2.0' AS rule_version, 'critical' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '5', 'window_seconds', '60', 'lookback', '5', 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN time_5 BETWEEN window_start AND event_utc THEN id_5 END, CASE WHEN time_4 BETWEEN window_start AND event_utc THEN id_4 END, CASE WHEN time_3 BETWEEN window_start AND event_utc THEN id_3 END, CASE WHEN time_2 BETWEEN window_start AND event_utc THEN id_2 END, CASE WHEN time_1 BETWEEN window_start AND event_utc THEN id_1 END, transaction_id], ' ')] AS evidence
FROM (
  SELECT *, TIMESTAMPADD(SECOND, -60, event_utc) AS window_start,
    LAG(event_utc, 5) OVER (PARTITION BY account_id ORDER BY turn) AS time_5, LAG(transaction_id, 5) OVER (PARTITION BY account_id ORDER BY turn) AS id_5,
    LAG(event_utc, 4) OVER (PARTITION BY account_id ORDER BY turn) AS time_4, LAG(transaction_id, 4) OVER (PARTITION BY account_id ORDER BY turn) AS id_4,
    LAG(event_utc, 3) OVER (PARTITION BY account_id ORDER BY turn) AS time_3, LAG(transaction_id, 3) OVER (PARTITION BY account_id ORDER BY turn) AS id_3,
    LAG(event_utc, 2) OVER (PARTITION BY account_id ORDER BY turn) AS time_2, LAG(transaction_id, 2) OVER (PARTITION BY account_id ORDER BY turn) AS id_2,
    LAG(event_utc, 1) OVER (PARTITION BY account_id ORDER BY turn) AS time_1, LAG(transaction_id, 1) OVER (PARTITION BY account_id ORDER BY turn) AS id_1
  FROM (SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, CAST(event_time AS TIMESTAMP(3)) AS event_utc, arrived AS turn FROM some_transactions)
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN time_5 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_4 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_3 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_2 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_1 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + 1]) AS contributing_of(contributing)
WHERE contributing > 5
)
