SELECT SHA256('spending
379e7bbb3e10
' || transaction_id) AS alert_id, transaction_id, account_id,
  'spending' AS rule_id, '379e7bbb3e10' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '2', 'window_seconds', '600', 'lookback', '3', 'total_amount', CAST(CAST(total * 0.01 AS DECIMAL(18, 2)) AS STRING), 'amount_limit', CAST(CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency, 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN times[places - 3] BETWEEN window_start AND event_utc THEN ids[places - 3] END, CASE WHEN times[places - 2] BETWEEN window_start AND event_utc THEN ids[places - 2] END, CASE WHEN times[places - 1] BETWEEN window_start AND event_utc THEN ids[places - 1] END, CASE WHEN times[places] BETWEEN window_start AND event_utc THEN ids[places] END], ' ')] AS evidence
FROM (
  SELECT *, CARDINALITY(times) AS places, TIMESTAMPADD(SECOND, -600, event_utc) AS window_start
  FROM (
    SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, currency, CAST(event_time AS TIMESTAMP(3)) AS event_utc,
      ARRAY_AGG(CAST(event_time AS TIMESTAMP(3))) OVER recent AS times,
      ARRAY_AGG(transaction_id) OVER recent AS ids,
      ARRAY_AGG(CAST(amount * 100 AS BIGINT)) OVER recent AS hundredths,
      ARRAY_AGG(currency) OVER recent AS currencies
    FROM some_transactions
    WINDOW recent AS (PARTITION BY account_id ORDER BY arrived ROWS BETWEEN 3 PRECEDING AND CURRENT ROW)
  )
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN times[places - 3] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 2] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places - 1] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN times[places] BETWEEN window_start AND event_utc THEN 1 ELSE 0 END]) AS contributing_of(contributing)
CROSS JOIN UNNEST(ARRAY[CASE WHEN times[places - 3] BETWEEN window_start AND event_utc AND currencies[places - 3] = currency THEN hundredths[places - 3] ELSE 0 END + CASE WHEN times[places - 2] BETWEEN window_start AND event_utc AND currencies[places - 2] = currency THEN hundredths[places - 2] ELSE 0 END + CASE WHEN times[places - 1] BETWEEN window_start AND event_utc AND currencies[places - 1] = currency THEN hundredths[places - 1] ELSE 0 END + CASE WHEN times[places] BETWEEN window_start AND event_utc AND currencies[places] = currency THEN hundredths[places] ELSE 0 END]) AS total_of(total)
WHERE contributing > 2 AND CAST(total * 0.01 AS DECIMAL(18, 2)) > CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2))
)
