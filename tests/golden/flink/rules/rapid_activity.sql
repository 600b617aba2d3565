SELECT SHA256('rapid
2.0
' || transaction_id) AS alert_id, transaction_id, account_id,
  'rapid' AS rule_id, '2.0' AS rule_version, 'critical' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', '6', 'limit', '5', 'window_seconds', '60', 'first_event_time', REPLACE(CAST(earlier AS STRING), ' ', 'T') || 'Z'] AS evidence
FROM (
  SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, CAST(event_time AS TIMESTAMP(3)) AS event_utc,
    LAG(CAST(event_time AS TIMESTAMP(3)), 5) OVER (PARTITION BY account_id ORDER BY arrived) AS earlier
  FROM some_transactions
)
WHERE event_utc <= TIMESTAMPADD(SECOND, 60, earlier)
  AND event_utc >= TIMESTAMPADD(SECOND, -60, earlier)
)
