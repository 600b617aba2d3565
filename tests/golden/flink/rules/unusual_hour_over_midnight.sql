SELECT '2-' || SHA256('late
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
  'late' AS rule_id, '1' AS rule_version, 'medium' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset,
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
