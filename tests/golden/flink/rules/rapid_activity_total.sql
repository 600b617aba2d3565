SELECT SHA256('spending
379e7bbb3e10
' || transaction_id) AS alert_id, transaction_id, account_id,
  'spending' AS rule_id, '379e7bbb3e10' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '2', 'window_seconds', '600', 'lookback', '3', 'total_amount', CAST(CAST(total * 0.01 AS DECIMAL(18, 2)) AS STRING), 'amount_limit', CAST(CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency, 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN time_3 BETWEEN window_start AND event_utc THEN id_3 END, CASE WHEN time_2 BETWEEN window_start AND event_utc THEN id_2 END, CASE WHEN time_1 BETWEEN window_start AND event_utc THEN id_1 END, transaction_id], ' ')] AS evidence
FROM (
  SELECT *, TIMESTAMPADD(SECOND, -600, event_utc) AS window_start,
    LAG(event_utc, 3) OVER (PARTITION BY account_id ORDER BY turn) AS time_3, LAG(transaction_id, 3) OVER (PARTITION BY account_id ORDER BY turn) AS id_3, LAG(hundredths, 3) OVER (PARTITION BY account_id ORDER BY turn) AS hundredths_3, LAG(currency, 3) OVER (PARTITION BY account_id ORDER BY turn) AS currency_3,
    LAG(event_utc, 2) OVER (PARTITION BY account_id ORDER BY turn) AS time_2, LAG(transaction_id, 2) OVER (PARTITION BY account_id ORDER BY turn) AS id_2, LAG(hundredths, 2) OVER (PARTITION BY account_id ORDER BY turn) AS hundredths_2, LAG(currency, 2) OVER (PARTITION BY account_id ORDER BY turn) AS currency_2,
    LAG(event_utc, 1) OVER (PARTITION BY account_id ORDER BY turn) AS time_1, LAG(transaction_id, 1) OVER (PARTITION BY account_id ORDER BY turn) AS id_1, LAG(hundredths, 1) OVER (PARTITION BY account_id ORDER BY turn) AS hundredths_1, LAG(currency, 1) OVER (PARTITION BY account_id ORDER BY turn) AS currency_1
  FROM (SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset, currency, CAST(amount * 100 AS BIGINT) AS hundredths, CAST(event_time AS TIMESTAMP(3)) AS event_utc, arrived AS turn FROM some_transactions)
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN time_3 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_2 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + CASE WHEN time_1 BETWEEN window_start AND event_utc THEN 1 ELSE 0 END + 1]) AS contributing_of(contributing)
CROSS JOIN UNNEST(ARRAY[CASE WHEN time_3 BETWEEN window_start AND event_utc AND currency_3 = currency THEN hundredths_3 ELSE 0 END + CASE WHEN time_2 BETWEEN window_start AND event_utc AND currency_2 = currency THEN hundredths_2 ELSE 0 END + CASE WHEN time_1 BETWEEN window_start AND event_utc AND currency_1 = currency THEN hundredths_1 ELSE 0 END + hundredths]) AS total_of(total)
WHERE contributing > 2 AND CAST(total * 0.01 AS DECIMAL(18, 2)) > CAST(CASE currency WHEN 'EUR' THEN 1000.00 END AS DECIMAL(14, 2))
)
