SELECT '2-' || SHA256('high
1
'
  || COALESCE('transaction_id=' || CAST(CHAR_LENGTH(`transaction_id`) AS STRING) || ':' || `transaction_id` || ';', '')
  || COALESCE('event_time=' || CAST(CHAR_LENGTH(CAST(CAST(`event_time` AS TIMESTAMP(3)) AS STRING)) AS STRING) || ':' || CAST(CAST(`event_time` AS TIMESTAMP(3)) AS STRING) || ';', '')
  || COALESCE('account_id=' || CAST(CHAR_LENGTH(`account_id`) AS STRING) || ':' || `account_id` || ';', '')
  || COALESCE('amount=' || CAST(CHAR_LENGTH(CAST(`amount` AS STRING)) AS STRING) || ':' || CAST(`amount` AS STRING) || ';', '')
  || COALESCE('currency=' || CAST(CHAR_LENGTH(`currency`) AS STRING) || ':' || `currency` || ';', '')
  || COALESCE('merchant_id=' || CAST(CHAR_LENGTH(`merchant_id`) AS STRING) || ':' || `merchant_id` || ';', '')
  || COALESCE('merchant_name=' || CAST(CHAR_LENGTH(`merchant_name`) AS STRING) || ':' || `merchant_name` || ';', '')
  || COALESCE('merchant_category=' || CAST(CHAR_LENGTH(`merchant_category`) AS STRING) || ':' || `merchant_category` || ';', '')
  || COALESCE('transaction_type=' || CAST(CHAR_LENGTH(`transaction_type`) AS STRING) || ':' || `transaction_type` || ';', '')
  || COALESCE('channel=' || CAST(CHAR_LENGTH(`channel`) AS STRING) || ':' || `channel` || ';', '')
  || COALESCE('country=' || CAST(CHAR_LENGTH(`country`) AS STRING) || ':' || `country` || ';', '')) AS alert_id,
  transaction_id, account_id,
  'high' AS rule_id, '1' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset,
  MAP['amount', CAST(amount AS STRING), 'threshold', CAST(CAST(CASE currency WHEN 'EUR' THEN 4500.50 WHEN 'JPY' THEN 700000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency, 'merchant_category', merchant_category, 'channel', channel] AS evidence
FROM some_transactions
WHERE amount > CAST(CASE currency WHEN 'EUR' THEN 4500.50 WHEN 'JPY' THEN 700000.00 END AS DECIMAL(14, 2))
  AND merchant_category IN ('5411', '6011')
  AND channel IN ('online')
)
