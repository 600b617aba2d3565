SELECT SHA256('rapid
2.0
' || transaction_id) AS alert_id, transaction_id, account_id,
  'rapid' AS rule_id, '2.0' AS rule_version, 'critical' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '5', 'window_seconds', '60', 'lookback', '10', 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN times[places - 10] BETWEEN window_start AND event_utc THEN ids[places - 10] END, CASE WHEN times[places - 9] BETWEEN window_start AND event_utc THEN ids[places - 9] END, CASE WHEN times[places - 8] BETWEEN window_start AND event_utc THEN ids[places - 8] END, CASE WHEN times[places - 7] BETWEEN window_start AND event_utc THEN ids[places - 7] END, CASE WHEN times[places - 6] BETWEEN window_start AND event_utc THEN ids[places - 6] END, CASE WHEN times[places - 5] BETWEEN window_start AND event_utc THEN ids[places - 5] END, CASE WHEN times[places - 4] BETWEEN window_start AND event_utc THEN ids[places - 4] END, CASE WHEN times[places - 3] BETWEEN window_start AND event_utc THEN ids[places - 3] END, CASE WHEN times[places - 2] BETWEEN window_start AND event_utc THEN ids[places - 2] END, CASE WHEN times[places - 1] BETWEEN window_start AND event_utc THEN ids[places - 1] END, CASE WHEN times[places] BETWEEN window_start AND event_utc THEN ids[places] END], ' ')] AS evidence
FROM (
  SELECT *, CARDINALITY(times) AS places, TIMESTAMPADD(SECOND, -60, event_utc) AS window_start
  FROM (
    SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, CAST(event_time AS TIMESTAMP(3)) AS event_utc,
      ARRAY_AGG(CAST(event_time AS TIMESTAMP(3))) OVER recent AS times,
      ARRAY_AGG(transaction_id) OVER recent AS ids
    FROM some_transactions
    WINDOW recent AS (PARTITION BY account_id ORDER BY arrived ROWS BETWEEN 10 PRECEDING AND CURRENT ROW)
  )
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN times[places - 10] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 9] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 8] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 7] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 6] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 5] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 4] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 3] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 2] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 1] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END]) AS contributing_of(contributing)
WHERE contributing > 5
)
