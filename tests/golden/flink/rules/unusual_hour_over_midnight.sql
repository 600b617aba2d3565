SELECT SHA256('late
1
' || transaction_id) AS alert_id, transaction_id, account_id,
  'late' AS rule_id, '1' AS rule_version, 'medium' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['local_hour', CAST(local_hour AS STRING), 'start_hour', '22', 'end_hour', '5', 'time_zone', time_zone, 'amount', CAST(amount AS STRING), 'minimum_amount', CAST(minimum_amount AS STRING), 'currency', currency] AS evidence
FROM (
  SELECT t.*, z.time_zone,
    CAST(SUBSTRING(CONVERT_TZ(DATE_FORMAT(CAST(event_time AS TIMESTAMP(3)), 'yyyy-MM-dd HH:mm:ss'), 'UTC', z.time_zone) FROM 12 FOR 2) AS INT) AS local_hour
  FROM (
    SELECT *, CAST(CASE currency WHEN 'EUR' THEN 200.00 END AS DECIMAL(14, 2)) AS minimum_amount FROM some_transactions
  ) AS t
  CROSS JOIN UNNEST(ARRAY[CASE country WHEN 'JP' THEN 'Asia/Tokyo' WHEN 'US' THEN 'America/New_York' ELSE 'UTC' END]) AS z(time_zone)
  WHERE t.amount >= t.minimum_amount
)
WHERE local_hour >= 22 OR local_hour < 5
)
