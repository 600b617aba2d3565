-- job alerting
-- pipeline.name: alerting
-- parallelism.default: 1
-- pipeline.object-reuse: true
-- table.local-time-zone: UTC
-- execution.buffer-timeout.interval: 5 ms
-- state.backend.type: rocksdb
-- execution.checkpointing.incremental: true
-- state.backend.rocksdb.use-bloom-filter: true
-- state.backend.rocksdb.memory.managed: false
-- state.backend.rocksdb.writebuffer.size: 8 mb
-- state.backend.rocksdb.block.cache-size: 32 mb
-- state.backend.rocksdb.compaction.style: UNIVERSAL
-- state.backend.rocksdb.compression.per.level: LZ4_COMPRESSION
-- table.exec.state.ttl: 24 h
-- execution.checkpointing.interval: 30000 ms
-- execution.checkpointing.min-pause: 1000 ms
-- execution.checkpointing.timeout: 2 min
-- execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
-- execution.checkpointing.tolerable-failed-checkpoints: 10
-- restart-strategy.type: exponential-delay
-- restart-strategy.exponential-delay.initial-backoff: 1 s
-- restart-strategy.exponential-delay.max-backoff: 20 s

CREATE TEMPORARY TABLE raw_transactions (
  payload STRING,
  kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = 'transactions.raw',
  'properties.bootstrap.servers' = '127.0.0.1:9092',
  'properties.group.id' = 'alerting',
  'scan.startup.mode' = 'specific-offsets',
  'scan.startup.specific-offsets' = 'partition:0,offset:100;partition:1,offset:200',
  'properties.auto.offset.reset' = 'earliest',
  'properties.isolation.level' = 'read_committed',
  'scan.topic-partition-discovery.interval' = '60 s',
  'properties.fetch.max.wait.ms' = '100',
  'format' = 'raw'
);

CREATE TEMPORARY VIEW judged AS
SELECT r.payload, r.kafka_topic, r.kafka_partition, r.kafka_offset, r.kafka_timestamp,
  f.fast,
  CASE WHEN f.fast THEN SPLIT(r.payload, '"')
    WHEN REGEXP(c.canonical, '^\{"account_id":"ACC[0-9]{9}","amount":"(?!0+\.00(?="))[0-9]{1,12}\.[0-9]{2}","channel":"(?:atm|online|pos)","country":"(?:A(?:D|E|F|G|I|L|M|O|Q|R|S|T|U|W|X|Z)|B(?:A|B|D|E|F|G|H|I|J|L|M|N|O|Q|R|S|T|V|W|Y|Z)|C(?:A|C|D|F|G|H|I|K|L|M|N|O|R|U|V|W|X|Y|Z)|D(?:E|J|K|M|O|Z)|E(?:C|E|G|H|R|S|T)|F(?:I|J|K|M|O|R)|G(?:A|B|D|E|F|G|H|I|L|M|N|P|Q|R|S|T|U|W|Y)|H(?:K|M|N|R|T|U)|I(?:D|E|L|M|N|O|Q|R|S|T)|J(?:E|M|O|P)|K(?:E|G|H|I|M|N|P|R|W|Y|Z)|L(?:A|B|C|I|K|R|S|T|U|V|Y)|M(?:A|C|D|E|F|G|H|K|L|M|N|O|P|Q|R|S|T|U|V|W|X|Y|Z)|N(?:A|C|E|F|G|I|L|O|P|R|U|Z)|OM|P(?:A|E|F|G|H|K|L|M|N|R|S|T|W|Y)|QA|R(?:E|O|S|U|W)|S(?:A|B|C|D|E|G|H|I|J|K|L|M|N|O|R|S|T|V|X|Y|Z)|T(?:C|D|F|G|H|J|K|L|M|N|O|R|T|V|W|Z)|U(?:A|G|M|S|Y|Z)|V(?:A|C|E|G|I|N|U)|W(?:F|S)|Y(?:E|T)|Z(?:A|M|W))","currency":"(?:AUD|C(?:AD|HF)|EUR|GBP|JPY|SGD|USD)","merchant_category":"[0-9]{4}","merchant_id":"MER[0-9]{6}","merchant_name":"(?:[^"\\]|\\(?:["\\bfnrt]|u00[01][0-9A-F])){1,100}+","timestamp":"(?=(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)T)(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z","transaction_id":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","transaction_type":"(?:purchase|refund|transfer|withdrawal)"\}\z')
    THEN REGEXP_EXTRACT_ALL(c.canonical, '": ?"((?:[^"\\]++|\\.)*+)"', 1) END AS field_values
FROM raw_transactions AS r
CROSS JOIN UNNEST(ARRAY[COALESCE(REGEXP(r.payload, '^\{"transaction_id": ?"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", ?"timestamp": ?"(?=(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)T)(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z", ?"account_id": ?"ACC[0-9]{9}", ?"amount": ?"(?!0+\.00(?="))[0-9]{1,12}\.[0-9]{2}", ?"currency": ?"(?:AUD|C(?:AD|HF)|EUR|GBP|JPY|SGD|USD)", ?"merchant_id": ?"MER[0-9]{6}", ?"merchant_name": ?"[^"\\\x00-\x1F\uFFFD]{1,100}+", ?"merchant_category": ?"[0-9]{4}", ?"transaction_type": ?"(?:purchase|refund|transfer|withdrawal)", ?"channel": ?"(?:atm|online|pos)", ?"country": ?"(?:A(?:D|E|F|G|I|L|M|O|Q|R|S|T|U|W|X|Z)|B(?:A|B|D|E|F|G|H|I|J|L|M|N|O|Q|R|S|T|V|W|Y|Z)|C(?:A|C|D|F|G|H|I|K|L|M|N|O|R|U|V|W|X|Y|Z)|D(?:E|J|K|M|O|Z)|E(?:C|E|G|H|R|S|T)|F(?:I|J|K|M|O|R)|G(?:A|B|D|E|F|G|H|I|L|M|N|P|Q|R|S|T|U|W|Y)|H(?:K|M|N|R|T|U)|I(?:D|E|L|M|N|O|Q|R|S|T)|J(?:E|M|O|P)|K(?:E|G|H|I|M|N|P|R|W|Y|Z)|L(?:A|B|C|I|K|R|S|T|U|V|Y)|M(?:A|C|D|E|F|G|H|K|L|M|N|O|P|Q|R|S|T|U|V|W|X|Y|Z)|N(?:A|C|E|F|G|I|L|O|P|R|U|Z)|OM|P(?:A|E|F|G|H|K|L|M|N|R|S|T|W|Y)|QA|R(?:E|O|S|U|W)|S(?:A|B|C|D|E|G|H|I|J|K|L|M|N|O|R|S|T|V|X|Y|Z)|T(?:C|D|F|G|H|J|K|L|M|N|O|R|T|V|W|Z)|U(?:A|G|M|S|Y|Z)|V(?:A|C|E|G|I|N|U)|W(?:F|S)|Y(?:E|T)|Z(?:A|M|W))"\}\z'), FALSE)]) AS f(fast)
CROSS JOIN UNNEST(ARRAY[
  CASE WHEN f.fast THEN NULL
    WHEN CHAR_LENGTH(DECODE(CAST(r.payload AS BYTES), 'ISO-8859-1')) <= 32768
      AND ENCODE(r.payload, 'UTF-8') = CAST(r.payload AS BYTES)
      AND REGEXP(r.payload, '^(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+\z')
      AND REGEXP(REGEXP_REPLACE(r.payload, '"(?:[^"\\]++|\\.)*+"', ''), '^(?!(?:[^{\[]*+[{\[]){65})(?!(?:[^:]*+:){129})(?![\s\S]*?[-+.0-9eE]{101})(?![\s\S]*?[eE][-+]?[0-9]{3})')
      AND ('{"v":' || r.payload || '}') IS JSON OBJECT
    THEN JSON_QUERY('['||r.payload||']', 'lax $[0][''account_id'',''amount'',''channel'',''country'',''currency'',''merchant_category'',''merchant_id'',''merchant_name'',''timestamp'',''transaction_id'',''transaction_type'']') END]) AS c(canonical);

-- once: judged as judged_once;

CREATE TEMPORARY VIEW valid_transactions AS
SELECT
  CASE WHEN fast THEN field_values[4] ELSE field_values[10] END AS transaction_id,
  CAST(TO_TIMESTAMP(CASE WHEN fast THEN field_values[8] ELSE field_values[9] END, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS TIMESTAMP_LTZ(3)) AS event_time,
  CASE WHEN fast THEN field_values[12] ELSE field_values[1] END AS account_id,
  CAST(CASE WHEN fast THEN field_values[16] ELSE field_values[2] END AS DECIMAL(14, 2)) AS amount,
  CASE WHEN fast THEN field_values[20] ELSE field_values[5] END AS currency,
  CASE WHEN fast THEN field_values[24] ELSE field_values[7] END AS merchant_id,
  CASE WHEN fast THEN field_values[28] ELSE JSON_VALUE('{"v":"' || field_values[8] || '"}', '$.v') END AS merchant_name,
  CASE WHEN fast THEN field_values[32] ELSE field_values[6] END AS merchant_category,
  CASE WHEN fast THEN field_values[36] ELSE field_values[11] END AS transaction_type,
  CASE WHEN fast THEN field_values[40] ELSE field_values[3] END AS channel,
  CASE WHEN fast THEN field_values[44] ELSE field_values[4] END AS country,
  kafka_topic, kafka_partition, kafka_offset, kafka_timestamp
FROM judged_once WHERE field_values IS NOT NULL;

-- once: valid_transactions as valid_once;

CREATE TEMPORARY TABLE alerts_out (
  `alert_id` STRING,
  `transaction_id` STRING,
  `account_id` STRING,
  `rule_id` STRING,
  `rule_version` STRING,
  `severity` STRING,
  `event_time` TIMESTAMP_LTZ(3),
  `detected_at` TIMESTAMP_LTZ(3),
  `evidence` MAP<STRING, STRING>,
  `source_partition` INT,
  `source_offset` BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'alerts',
  'properties.bootstrap.servers' = '127.0.0.1:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'properties.linger.ms' = '0',
  'properties.compression.type' = 'lz4',
  'key.format' = 'raw',
  'key.fields' = 'account_id',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601'
);

INSERT INTO alerts_out
SELECT * FROM (
SELECT '2-' || SHA256('high-value
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
  'high-value' AS rule_id, '1' AS rule_version, 'high' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset,
  MAP['amount', CAST(amount AS STRING), 'threshold', CAST(CAST(CASE currency WHEN 'AUD' THEN 7500.00 WHEN 'CAD' THEN 6500.00 WHEN 'CHF' THEN 4500.00 WHEN 'EUR' THEN 4500.00 WHEN 'GBP' THEN 4000.00 WHEN 'JPY' THEN 700000.00 WHEN 'SGD' THEN 6500.00 WHEN 'USD' THEN 5000.00 END AS DECIMAL(14, 2)) AS STRING), 'currency', currency] AS evidence
FROM valid_once
WHERE amount > CAST(CASE currency WHEN 'AUD' THEN 7500.00 WHEN 'CAD' THEN 6500.00 WHEN 'CHF' THEN 4500.00 WHEN 'EUR' THEN 4500.00 WHEN 'GBP' THEN 4000.00 WHEN 'JPY' THEN 700000.00 WHEN 'SGD' THEN 6500.00 WHEN 'USD' THEN 5000.00 END AS DECIMAL(14, 2))
)
UNION ALL
SELECT '2-' || SHA256('rapid-activity
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
  'rapid-activity' AS rule_id, '1' AS rule_version, 'critical' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset,
  MAP['count', CAST(contributing AS STRING), 'limit', '5', 'window_seconds', '60', 'lookback', '5', 'transaction_ids', ARRAY_JOIN(ARRAY[CASE WHEN before_5 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_5, '[^ ]*$') END, CASE WHEN before_4 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_4, '[^ ]*$') END, CASE WHEN before_3 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_3, '[^ ]*$') END, CASE WHEN before_2 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_2, '[^ ]*$') END, CASE WHEN before_1 BETWEEN earliest AND latest THEN REGEXP_EXTRACT(before_1, '[^ ]*$') END, transaction_id], ' ')] AS evidence
FROM (
  SELECT *, CAST(TIMESTAMPADD(SECOND, -60, CAST(event_time AS TIMESTAMP(3))) AS STRING) AS earliest,
    CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || '~' AS latest
  FROM (
    SELECT *,
      LAG(this_one, 5) OVER (PARTITION BY account_id ORDER BY turn) AS before_5,
      LAG(this_one, 4) OVER (PARTITION BY account_id ORDER BY turn) AS before_4,
      LAG(this_one, 3) OVER (PARTITION BY account_id ORDER BY turn) AS before_3,
      LAG(this_one, 2) OVER (PARTITION BY account_id ORDER BY turn) AS before_2,
      LAG(this_one, 1) OVER (PARTITION BY account_id ORDER BY turn) AS before_1
    FROM (SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset, CAST(CAST(event_time AS TIMESTAMP(3)) AS STRING) || ' ' || transaction_id AS this_one, arrived AS turn FROM valid_once)
  )
)
CROSS JOIN UNNEST(ARRAY[CASE WHEN before_5 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_4 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_3 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_2 BETWEEN earliest AND latest THEN 1 ELSE 0 END + CASE WHEN before_1 BETWEEN earliest AND latest THEN 1 ELSE 0 END + 1]) AS contributing_of(contributing)
WHERE contributing > 5
)
UNION ALL
SELECT '2-' || SHA256('unusual-hour
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
  'unusual-hour' AS rule_id, '1' AS rule_version, 'medium' AS severity,
  event_time, CURRENT_TIMESTAMP AS detected_at, evidence,
  kafka_partition AS source_partition, kafka_offset AS source_offset
FROM (
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, kafka_partition, kafka_offset,
  MAP['local_hour', CAST(local_hour AS STRING), 'start_hour', '1', 'end_hour', '5', 'time_zone', time_zone, 'amount', CAST(amount AS STRING), 'minimum_amount', CAST(minimum_amount AS STRING), 'currency', currency] AS evidence
FROM (
  SELECT t.*, z.time_zone,
    CAST(SUBSTRING(CONVERT_TZ(DATE_FORMAT(CAST(event_time AS TIMESTAMP(3)), 'yyyy-MM-dd HH:mm:ss'), 'UTC', z.time_zone) FROM 12 FOR 2) AS INT) AS local_hour
  FROM (
    SELECT *, CAST(CASE currency WHEN 'AUD' THEN 300.00 WHEN 'CAD' THEN 250.00 WHEN 'CHF' THEN 200.00 WHEN 'EUR' THEN 200.00 WHEN 'GBP' THEN 200.00 WHEN 'JPY' THEN 30000.00 WHEN 'SGD' THEN 250.00 WHEN 'USD' THEN 200.00 END AS DECIMAL(14, 2)) AS minimum_amount FROM valid_once
  ) AS t
  CROSS JOIN UNNEST(ARRAY[CASE country WHEN 'AE' THEN 'Asia/Dubai' WHEN 'AU' THEN 'Australia/Sydney' WHEN 'BR' THEN 'America/Sao_Paulo' WHEN 'CA' THEN 'America/Toronto' WHEN 'CH' THEN 'Europe/Zurich' WHEN 'DE' THEN 'Europe/Berlin' WHEN 'FR' THEN 'Europe/Paris' WHEN 'GB' THEN 'Europe/London' WHEN 'IN' THEN 'Asia/Kolkata' WHEN 'JP' THEN 'Asia/Tokyo' WHEN 'MX' THEN 'America/Mexico_City' WHEN 'NZ' THEN 'Pacific/Auckland' WHEN 'PF' THEN 'Pacific/Tahiti' WHEN 'SG' THEN 'Asia/Singapore' WHEN 'US' THEN 'America/New_York' ELSE 'UTC' END]) AS z(time_zone)
  WHERE t.amount >= t.minimum_amount
)
WHERE local_hour >= 1 AND local_hour < 5
)
) WHERE source_offset >= CASE source_partition WHEN 0 THEN CAST(150 AS BIGINT) WHEN 1 THEN CAST(200 AS BIGINT) ELSE CAST(0 AS BIGINT) END;
