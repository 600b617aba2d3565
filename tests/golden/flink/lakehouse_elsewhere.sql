-- job lakehouse
-- pipeline.name: lakehouse
-- parallelism.default: 1
-- pipeline.object-reuse: true
-- table.local-time-zone: UTC
-- execution.buffer-timeout.interval: 250 ms
-- state.backend.type: rocksdb
-- execution.checkpointing.incremental: true
-- state.backend.rocksdb.use-bloom-filter: true
-- state.backend.rocksdb.memory.managed: false
-- state.backend.rocksdb.writebuffer.size: 8 mb
-- state.backend.rocksdb.block.cache-size: 32 mb
-- state.backend.rocksdb.compaction.style: UNIVERSAL
-- state.backend.rocksdb.compression.per.level: LZ4_COMPRESSION
-- table.exec.state.ttl: 24 h
-- execution.checkpointing.interval: 5000 ms
-- execution.checkpointing.min-pause: 1000 ms
-- execution.checkpointing.timeout: 2 min
-- execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION
-- execution.checkpointing.tolerable-failed-checkpoints: 10
-- restart-strategy.type: exponential-delay
-- restart-strategy.exponential-delay.initial-backoff: 1 s
-- restart-strategy.exponential-delay.max-backoff: 20 s
-- python.execution-mode: thread

CREATE CATALOG lake WITH (
  'type' = 'iceberg',
  'catalog-impl' = 'org.apache.iceberg.jdbc.JdbcCatalog',
  'uri' = 'jdbc:postgresql://db.example:5432/lake?user=lake&sslmode=require',
  'jdbc.schema-version' = 'V1',
  'warehouse' = 's3://bucket/lake',
  'io-impl' = 'org.apache.iceberg.aws.s3.S3FileIO',
  'client.region' = 'eu-central-1',
  's3.endpoint' = 'http://s3.example:9000',
  's3.path-style-access' = 'true'
);

CREATE TEMPORARY SYSTEM FUNCTION explain_refused AS 'streaming.udf.explain_refused' LANGUAGE PYTHON;

CREATE TEMPORARY SYSTEM FUNCTION read_alert AS 'streaming.udf.read_alert' LANGUAGE PYTHON;

CREATE TEMPORARY TABLE raw_transactions (
  payload STRING,
  kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = 'transactions.raw',
  'properties.bootstrap.servers' = 'kafka.example:9093',
  'properties.security.protocol' = 'SASL_SSL',
  'properties.sasl.mechanism' = 'SCRAM-SHA-512',
  'properties.config.providers' = 'env',
  'properties.config.providers.env.class' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.EnvVarConfigProvider',
  'properties.config.providers.env.param.allowlist.pattern' = 'KAFKA_PASSWORD',
  'properties.sasl.jaas.config' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule required username="pipeline" password="${env:KAFKA_PASSWORD}";',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.certificates' = '-----BEGIN CERTIFICATE-----
QUJD
-----END CERTIFICATE-----',
  'properties.group.id' = 'lakehouse',
  'scan.startup.mode' = 'group-offsets',
  'properties.auto.offset.reset' = 'none',
  'properties.isolation.level' = 'read_committed',
  'scan.topic-partition-discovery.interval' = '60 s',
  'properties.fetch.max.wait.ms' = '250',
  'properties.fetch.min.bytes' = '1048576',
  'format' = 'raw'
);

CREATE TEMPORARY TABLE alerts_in (
  payload STRING,
  kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  'topic' = 'alerts',
  'properties.bootstrap.servers' = 'kafka.example:9093',
  'properties.security.protocol' = 'SASL_SSL',
  'properties.sasl.mechanism' = 'SCRAM-SHA-512',
  'properties.config.providers' = 'env',
  'properties.config.providers.env.class' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.EnvVarConfigProvider',
  'properties.config.providers.env.param.allowlist.pattern' = 'KAFKA_PASSWORD',
  'properties.sasl.jaas.config' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule required username="pipeline" password="${env:KAFKA_PASSWORD}";',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.certificates' = '-----BEGIN CERTIFICATE-----
QUJD
-----END CERTIFICATE-----',
  'properties.group.id' = 'lakehouse',
  'scan.startup.mode' = 'group-offsets',
  'properties.auto.offset.reset' = 'none',
  'properties.isolation.level' = 'read_committed',
  'scan.topic-partition-discovery.interval' = '60 s',
  'properties.fetch.max.wait.ms' = '250',
  'properties.fetch.min.bytes' = '1048576',
  'format' = 'raw'
);

CREATE TEMPORARY TABLE dead_letters_out (
  `topic` STRING,
  `partition` INT,
  `offset` BIGINT,
  `reason_code` STRING,
  `message` STRING,
  `payload` STRING,
  `payload_encoding` STRING,
  `failed_at` TIMESTAMP_LTZ(3),
  `replayed_from` STRING
) WITH (
  'connector' = 'kafka',
  'topic' = 'transactions.dead-letter',
  'properties.bootstrap.servers' = 'kafka.example:9093',
  'properties.security.protocol' = 'SASL_SSL',
  'properties.sasl.mechanism' = 'SCRAM-SHA-512',
  'properties.config.providers' = 'env',
  'properties.config.providers.env.class' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.config.provider.EnvVarConfigProvider',
  'properties.config.providers.env.param.allowlist.pattern' = 'KAFKA_PASSWORD',
  'properties.sasl.jaas.config' = 'org.apache.flink.kafka.shaded.org.apache.kafka.common.security.scram.ScramLoginModule required username="pipeline" password="${env:KAFKA_PASSWORD}";',
  'properties.ssl.truststore.type' = 'PEM',
  'properties.ssl.truststore.certificates' = '-----BEGIN CERTIFICATE-----
QUJD
-----END CERTIFICATE-----',
  'sink.delivery-guarantee' = 'at-least-once',
  'properties.linger.ms' = '100',
  'properties.compression.type' = 'lz4',
  'properties.max.request.size' = '4194304',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601'
);

CREATE TEMPORARY VIEW judged AS
SELECT r.payload, r.kafka_topic, r.kafka_partition, r.kafka_offset, r.kafka_timestamp, r.replayed_from,
  f.fast,
  CASE WHEN f.fast THEN SPLIT(r.payload, '"')
    WHEN REGEXP(c.canonical, '^\{"account_id":"ACC[0-9]{9}","amount":"(?!0+\.00(?="))[0-9]{1,12}\.[0-9]{2}","channel":"(?:atm|online|pos)","country":"(?:A(?:D|E|F|G|I|L|M|O|Q|R|S|T|U|W|X|Z)|B(?:A|B|D|E|F|G|H|I|J|L|M|N|O|Q|R|S|T|V|W|Y|Z)|C(?:A|C|D|F|G|H|I|K|L|M|N|O|R|U|V|W|X|Y|Z)|D(?:E|J|K|M|O|Z)|E(?:C|E|G|H|R|S|T)|F(?:I|J|K|M|O|R)|G(?:A|B|D|E|F|G|H|I|L|M|N|P|Q|R|S|T|U|W|Y)|H(?:K|M|N|R|T|U)|I(?:D|E|L|M|N|O|Q|R|S|T)|J(?:E|M|O|P)|K(?:E|G|H|I|M|N|P|R|W|Y|Z)|L(?:A|B|C|I|K|R|S|T|U|V|Y)|M(?:A|C|D|E|F|G|H|K|L|M|N|O|P|Q|R|S|T|U|V|W|X|Y|Z)|N(?:A|C|E|F|G|I|L|O|P|R|U|Z)|OM|P(?:A|E|F|G|H|K|L|M|N|R|S|T|W|Y)|QA|R(?:E|O|S|U|W)|S(?:A|B|C|D|E|G|H|I|J|K|L|M|N|O|R|S|T|V|X|Y|Z)|T(?:C|D|F|G|H|J|K|L|M|N|O|R|T|V|W|Z)|U(?:A|G|M|S|Y|Z)|V(?:A|C|E|G|I|N|U)|W(?:F|S)|Y(?:E|T)|Z(?:A|M|W))","currency":"(?:AUD|C(?:AD|HF)|EUR|GBP|JPY|SGD|USD)","merchant_category":"[0-9]{4}","merchant_id":"MER[0-9]{6}","merchant_name":"(?:[^"\\]|\\(?:["\\bfnrt]|u00[01][0-9A-F])){1,100}+","timestamp":"(?=(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)T)(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z","transaction_id":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}","transaction_type":"(?:purchase|refund|transfer|withdrawal)"\}\z')
    THEN REGEXP_EXTRACT_ALL(c.canonical, '": ?"((?:[^"\\]++|\\.)*+)"', 1) END AS field_values
FROM (SELECT payload, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, REGEXP_EXTRACT(DECODE(headers['replay-of'], 'UTF-8'), '^[a-zA-Z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}\z', 0) AS replayed_from FROM raw_transactions) AS r
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
  kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, replayed_from
FROM judged_once WHERE field_values IS NOT NULL;

CREATE TEMPORARY VIEW read_alerts AS
SELECT kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, read_alert(CAST(payload AS BYTES)) AS alert
FROM alerts_in;

-- once: read_alerts as alerts_once;

CREATE TEMPORARY VIEW explained_transactions AS
SELECT kafka_topic, kafka_partition, kafka_offset, replayed_from,
  explain_refused(CAST(payload AS BYTES)) AS explanation
FROM judged_once WHERE field_values IS NULL;

-- once: explained_transactions as explained_once;

CREATE TEMPORARY VIEW refused_transactions (`topic`, `partition`, `offset`, `reason_code`, `message`, `payload`, `payload_encoding`, `failed_at`, `replayed_from`) AS
SELECT e.kafka_topic, e.kafka_partition, e.kafka_offset, e.explanation.reason_code, e.explanation.message, e.explanation.payload, e.explanation.payload_encoding, CURRENT_TIMESTAMP, e.replayed_from
FROM explained_once AS e
UNION ALL
SELECT a.kafka_topic, a.kafka_partition, a.kafka_offset, a.alert.reason_code, a.alert.message, a.alert.payload, a.alert.payload_encoding, CURRENT_TIMESTAMP, CAST(NULL AS STRING)
FROM alerts_once AS a WHERE a.alert.reason_code IS NOT NULL;

INSERT INTO `lake`.`finance`.`transactions`
SELECT `transaction_id`, `event_time`, `account_id`, `amount`, `currency`, `merchant_id`, `merchant_name`, `merchant_category`, `transaction_type`, `channel`, `country`, `kafka_topic`, `kafka_partition`, `kafka_offset`, `kafka_timestamp`, CURRENT_TIMESTAMP AS `processed_at`, `replayed_from`
FROM valid_transactions;

INSERT INTO `lake`.`finance`.`dead_letters`
SELECT `topic`, `partition`, `offset`, `reason_code`, `message`, `payload`, `payload_encoding`, `failed_at`, `replayed_from`
FROM refused_transactions;

INSERT INTO dead_letters_out
SELECT `topic`, `partition`, `offset`, `reason_code`, `message`, CASE WHEN CHAR_LENGTH(`payload`) <= 3495256 THEN `payload` END, `payload_encoding`, `failed_at`, `replayed_from`
FROM refused_transactions;

INSERT INTO `lake`.`finance`.`alerts`
SELECT `alert_id`, `transaction_id`, `account_id`, `rule_id`, `rule_version`, `severity`, `event_time`, `detected_at`, `evidence`, `source_partition`, `source_offset`, `kafka_topic`, `kafka_partition`, `kafka_offset`, `kafka_timestamp`, CURRENT_TIMESTAMP AS `processed_at`
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY alert_id ORDER BY arrived) AS sighting FROM (
    SELECT a.alert.`alert_id` AS `alert_id`,
    a.alert.`transaction_id` AS `transaction_id`,
    a.alert.`account_id` AS `account_id`,
    a.alert.`rule_id` AS `rule_id`,
    a.alert.`rule_version` AS `rule_version`,
    a.alert.`severity` AS `severity`,
    CAST(TO_TIMESTAMP(a.alert.`event_time`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS TIMESTAMP_LTZ(3)) AS `event_time`,
    CAST(TO_TIMESTAMP(a.alert.`detected_at`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS TIMESTAMP_LTZ(3)) AS `detected_at`,
    a.alert.`evidence` AS `evidence`,
    CAST(a.alert.`source_partition` AS INT) AS `source_partition`,
    CAST(a.alert.`source_offset` AS BIGINT) AS `source_offset`,
    a.kafka_topic, a.kafka_partition, a.kafka_offset, a.kafka_timestamp, a.arrived
    FROM alerts_once AS a WHERE a.alert.reason_code IS NULL
  )
) WHERE sighting = 1;
