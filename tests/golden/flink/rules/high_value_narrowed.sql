SELECT SHA256('high
1
' || transaction_id) AS alert_id, transaction_id, account_id,
  'high' AS rule_id, '1' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT transaction_id, account_id, event_time, kafka_partition, kafka_offset,
  MAP['amount', CAST(amount AS STRING), 'threshold', CAST(CAST(CASE currency WHEN 'EUR' THEN 4500.50 WHEN 'JPY' THEN 700000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency, 'merchant_category', merchant_category, 'channel', channel] AS evidence
FROM some_transactions
WHERE amount > CAST(CASE currency WHEN 'EUR' THEN 4500.50 WHEN 'JPY' THEN 700000.00 END AS DECIMAL(14, 2))
  AND merchant_category IN ('5411', '6011')
  AND channel IN ('online')
)
