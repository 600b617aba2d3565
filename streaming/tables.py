"""What Flink reads and writes, as SQL: the Kafka topics, the Iceberg catalog, and the view that judges every record.

Both jobs read transactions through `judged_view`, so a record has one verdict. Every statement here is text made of
the contracts; golden files hold it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from contracts import names, positions
from contracts.addresses import Addresses
from contracts.kafka_access import KafkaAccess
from contracts.postgres import is_postgres, jdbc_url
from contracts.record_sizes import DEAD_LETTER_PAYLOAD_CHARACTERS, DEAD_LETTER_TOPIC_BYTES
from contracts.s3 import flink_properties, is_s3
from contracts.schema import Contract, Field, load_contract
from contracts.tables import Table
from streaming.validation import (
    VALUE,
    WELL_PAIRED,
    canonical_expression,
    canonical_order,
    canonical_pattern,
    fast_expression,
    fast_values_expression,
    limits_expression,
    optional_value_expression,
    quote,
    small_expression,
)

RAW = "raw_transactions"
JUDGED = "judged"
VALID = "valid_transactions"
JUDGED_ONCE = "judged_once"
VALID_ONCE = "valid_once"
ALERTS_IN = "alerts_in"
ALERTS_OUT = "alerts_out"
DEAD_LETTERS_OUT = "dead_letters_out"

# What is only stored waits so long in the broker, in milliseconds, or for so many bytes. Read as they came, 10,000
# records a second cost both jobs 1.2 cores; so, 0.8.
BATCH_MS = 250
_BATCH_BYTES = 2**20

# No offsets to begin at.
NOWHERE: Mapping[int, int] = MappingProxyType({})

_FLINK_TYPES = {
    "string": "STRING",
    "int": "INT",
    "long": "BIGINT",
    "timestamptz": "TIMESTAMP_LTZ(3)",
    "decimal(14,2)": "DECIMAL(14, 2)",
    "map<string,string>": "MAP<STRING, STRING>",
}


def flink_type(text: str) -> str:
    """Flink's name of a column type in the contracts' words. Raises KeyError for one it does not know."""
    return _FLINK_TYPES[text]


def options(pairs: dict[str, str]) -> str:
    """A WITH clause."""
    lines = ",\n  ".join(f"{quote(key)} = {quote(value)}" for key, value in pairs.items())
    return f"WITH (\n  {lines}\n)"


def _properties(kafka: KafkaAccess) -> dict[str, str]:
    return {f"properties.{key}": value for key, value in kafka.flink().items()}


def _source_options(
    *, topic: str, kafka: KafkaAccess, group: str, starts: Mapping[int, int], stored: bool
) -> dict[str, str]:
    positions = ";".join(f"partition:{partition},offset:{offset}" for partition, offset in sorted(starts.items()))
    return {
        "connector": "kafka",
        "topic": topic,
        **_properties(kafka),
        "properties.group.id": group,
        # A restored job goes on from its checkpoint. One without goes on from `starts`, by partition, or from the
        # offsets of the group. What is to be stored has those set before it begins (`operations/submission.py`), and
        # stops at an offset that Kafka does not have: the first record would store again what is stored. Alerts go on.
        "scan.startup.mode": "specific-offsets" if starts else "group-offsets",
        **({"scan.startup.specific-offsets": positions} if starts else {}),
        "properties.auto.offset.reset": "none" if stored else "earliest",
        # No record of a transaction that was given up, or that is still open.
        "properties.isolation.level": "read_committed",
        # A topic may be given more partitions while the job runs.
        "scan.topic-partition-discovery.interval": "60 s",
        "properties.fetch.max.wait.ms": str(BATCH_MS) if stored else "100",
        **({"properties.fetch.min.bytes": str(_BATCH_BYTES)} if stored else {}),
    }


def _sink_options(*, topic: str, kafka: KafkaAccess, linger_ms: int = 0) -> dict[str, str]:
    return {
        "connector": "kafka",
        "topic": topic,
        **_properties(kafka),
        # Exactly-once would show a record only when its checkpoint commits. Ids are deterministic instead.
        "sink.delivery-guarantee": "at-least-once",
        "properties.linger.ms": str(linger_ms),
        "properties.compression.type": "lz4",
    }


_POSITION = """  kafka_topic STRING METADATA FROM 'topic' VIRTUAL,
  kafka_partition INT METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT METADATA FROM 'offset' VIRTUAL,
  kafka_timestamp TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL"""


_RECORD = "payload, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp"

# Whatever bytes a producer puts into the header: NULL unless they are a place in Kafka. DECODE turns what is not UTF-8
# into U+FFFD, which the form has no room for.
_WHOLE_POSITION = rf"^{positions.FORM}\z"
_REPLAYED_FROM = f"REGEXP_EXTRACT(DECODE(headers[{quote(names.REPLAY_HEADER)}], 'UTF-8'), {quote(_WHOLE_POSITION)}, 0)"


def raw_source(addresses: Addresses, *, group: str, starts: Mapping[int, int] = NOWHERE, stored: bool = False) -> str:
    """The raw topic: nothing is parsed before it is judged, so nothing can fail or be dropped unseen.

    The payload is a STRING around the bytes as they came: Flink decodes them only where characters are asked for, with
    U+FFFD for what is not UTF-8, and gives them back unchanged as BYTES. BYTES would be decoded, encoded and decoded
    again on their way through one operator.

    To be `stored`, it is read in batches, and with the records' headers.
    """
    kafka = _source_options(topic=names.RAW_TOPIC, kafka=addresses.kafka, group=group, starts=starts, stored=stored)
    headers = ",\n  headers MAP<STRING, BYTES> METADATA VIRTUAL" if stored else ""
    return f"""CREATE TEMPORARY TABLE {RAW} (
  payload STRING,
{_POSITION}{headers}
) {options({**kafka, "format": "raw"})}"""


def judged_view(*, replays: bool = False) -> str:
    """Every raw record with its verdict: `field_values` has the values of a valid record and is NULL for a refused one.

    Where `fast`, they are every fourth of it, in the contract's order; else all of it, by name.

    Each UNNEST of one value keeps Flink from writing that value's expression into every column that uses it: the
    planner merges projections, and each field would judge the record again. The view as a whole is to be read through
    `Once`, for the same reason.

    Where the contract has optional fields, their values are taken from `payload` or `canonical`.

    With `replays`, also the place of the record that this one repairs. Only a job that stores it asks for it: the
    planner does not see through UNNEST that a column is not used, and `alerting` would read headers for nothing.
    """
    pointer = f", r.{names.REPLAYED_FROM}" if replays else ""
    source = f"(SELECT {_RECORD}, {_REPLAYED_FROM} AS {names.REPLAYED_FROM} FROM {RAW})" if replays else RAW
    contract = load_contract("transaction")
    canonical = ", c.canonical" if contract.optional else ""
    return f"""CREATE TEMPORARY VIEW {JUDGED} AS
SELECT r.payload, r.kafka_topic, r.kafka_partition, r.kafka_offset, r.kafka_timestamp{pointer},
  f.fast{canonical},
  CASE WHEN f.fast THEN {fast_values_expression("r.payload")}
    WHEN REGEXP(c.canonical, {quote(canonical_pattern(contract))})
    THEN REGEXP_EXTRACT_ALL(c.canonical, {quote(VALUE)}, 1) END AS field_values
FROM {source} AS r
CROSS JOIN UNNEST(ARRAY[COALESCE({fast_expression(contract, "r.payload")}, FALSE)]) AS f(fast)
CROSS JOIN UNNEST(ARRAY[
  CASE WHEN f.fast THEN NULL
    WHEN {small_expression(contract, "CAST(r.payload AS BYTES)")}
      AND ENCODE(r.payload, 'UTF-8') = CAST(r.payload AS BYTES)
      AND REGEXP(r.payload, {quote(WELL_PAIRED)})
      AND {limits_expression(contract, "r.payload")}
      AND ('{{"v":' || r.payload || '}}') IS JSON OBJECT
    THEN {canonical_expression(contract, "r.payload")} END]) AS c(canonical)"""


def valid_view(judged: str = JUDGED, *, replays: bool = False) -> str:
    """The valid transactions of the view `judged`, typed, with their position in Kafka.

    With `replays`, also with the place of the record that a row repairs.
    """
    contract = load_contract("transaction")
    columns = [*_required_columns(contract), *_optional_columns(contract)]
    listed = ",\n".join(columns)
    pointer = f", {names.REPLAYED_FROM}" if replays else ""
    return f"""CREATE TEMPORARY VIEW {VALID} AS
SELECT
{listed},
  kafka_topic, kafka_partition, kafka_offset, kafka_timestamp{pointer}
FROM {judged} WHERE field_values IS NOT NULL"""


def _required_columns(contract: Contract) -> list[str]:
    canonical = {field.name: number for number, field in enumerate(canonical_order(contract), start=1)}
    columns = []
    for number, field in enumerate(contract.required, start=1):
        value = f"CASE WHEN fast THEN field_values[{4 * number}] ELSE field_values[{canonical[field.name]}] END"
        if "pattern" not in field.rules and "enum" not in field.rules:
            # The one value that may hold escapes: a parser undoes them.
            unescaped = f"""JSON_VALUE('{{"v":"' || field_values[{canonical[field.name]}] || '"}}', '$.v')"""
            value = f"CASE WHEN fast THEN field_values[{4 * number}] ELSE {unescaped} END"
        columns.append(f"  {_typed(value, field.type)} AS {field.column}")
    return columns


def _optional_columns(contract: Contract) -> list[str]:
    def value(field: Field) -> str:
        return optional_value_expression(field, fast="fast", record="payload", canonical="canonical")

    return [f"  {_typed(value(field), field.type)} AS `{field.column}`" for field in contract.optional]


def _typed(value: str, column_type: str) -> str:
    match column_type:
        case "string":
            return value
        case "timestamptz":  # RFC 3339 with milliseconds; the session's time zone is UTC
            return f"CAST(TO_TIMESTAMP({value}, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z''') AS TIMESTAMP_LTZ(3))"
        case other:
            return f"CAST({value} AS {flink_type(other)})"


def _columns(contract_columns: list[tuple[str, str]]) -> str:
    return ",\n".join(f"  `{name}` {flink_type(column_type)}" for name, column_type in contract_columns)


def _json_options() -> dict[str, str]:
    return {"value.format": "json", "value.json.timestamp-format.standard": "ISO-8601"}


def alert_sink(addresses: Addresses) -> str:
    """The alerts topic, keyed by account."""
    kafka = _sink_options(topic=names.ALERT_TOPIC, kafka=addresses.kafka)
    keyed = {"key.format": "raw", "key.fields": "account_id"}
    columns = _columns([(field.name, field.type) for field in load_contract("alert").fields])
    return f"CREATE TEMPORARY TABLE {ALERTS_OUT} (\n{columns}\n) {options({**kafka, **keyed, **_json_options()})}"


def alert_source(addresses: Addresses, *, group: str) -> str:
    """Write the alerts topic for storing: bytes as they came, since anybody may have written them."""
    kafka = _source_options(topic=names.ALERT_TOPIC, kafka=addresses.kafka, group=group, starts=NOWHERE, stored=True)
    return (
        f"CREATE TEMPORARY TABLE {ALERTS_IN} (\n  payload STRING,\n{_POSITION}\n) {options({**kafka, 'format': 'raw'})}"
    )


def read_alerts_view(name: str) -> str:
    """Write a view of every record of the alerts topic, as `alert`: the columns of an alert, or why it is none.

    To be read through `Once`: it is read by Python (`streaming/alerts_in.py`).
    """
    return f"""CREATE TEMPORARY VIEW {name} AS
SELECT kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, read_alert(CAST(payload AS BYTES)) AS alert
FROM {ALERTS_IN}"""


def alert_columns() -> str:
    """List the columns of an alert, typed, of a view with those of `read_alerts_view`."""
    columns = []
    for field in load_contract("alert").fields:
        value = f"a.alert.`{field.column}`"
        columns.append(f"{value if field.type.startswith('map') else _typed(value, field.type)} AS `{field.column}`")
    return ",\n    ".join(columns)


def dead_letter_sink(addresses: Addresses) -> str:
    """The dead-letter topic."""
    kafka = {
        # Nobody waits for a dead letter, and a flood of them, each sent by itself, keeps the broker from the alerts.
        **_sink_options(topic=names.DEAD_LETTER_TOPIC, kafka=addresses.kafka, linger_ms=100),
        # A record that is larger than this would restart the job for ever.
        "properties.max.request.size": str(DEAD_LETTER_TOPIC_BYTES),
    }
    columns = _columns([(field.name, field.type) for field in load_contract("dead-letter").fields])
    return f"CREATE TEMPORARY TABLE {DEAD_LETTERS_OUT} (\n{columns}\n) {options({**kafka, **_json_options()})}"


def into_dead_letter_topic(refused: str) -> str:
    """The statement that sends the dead letters of the view `refused` to their topic.

    A compressed batch may hold a record that is larger than the topic of dead letters takes: it goes without its bytes.
    """
    sent = f"CASE WHEN CHAR_LENGTH(`payload`) <= {DEAD_LETTER_PAYLOAD_CHARACTERS} THEN `payload` END"
    columns = ", ".join(
        sent if field.name == "payload" else f"`{field.name}`" for field in load_contract("dead-letter").fields
    )
    return f"INSERT INTO {DEAD_LETTERS_OUT}\nSELECT {columns}\nFROM {refused}"


def lake_catalog(addresses: Addresses) -> str:
    """The Iceberg catalog, shared with Python through the same database."""
    settings = {
        "type": "iceberg",
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "uri": _catalog_uri(addresses.iceberg_catalog_uri),
        # The layout PyIceberg reads and writes.
        "jdbc.schema-version": "V1",
        "warehouse": addresses.iceberg_warehouse,
        **(flink_properties() if is_s3(addresses.iceberg_warehouse) else {}),
    }
    return f"CREATE CATALOG {addresses.iceberg_catalog_name} {options(settings)}"


def _catalog_uri(uri: str) -> str:
    if is_postgres(uri):
        return jdbc_url(uri)
    # A commit waits for so many ms where another process holds the file; where it gave up, the job would start again
    # from its checkpoint. Half of the checkpoints' own timeout.
    return f"jdbc:sqlite:{uri.removeprefix('sqlite:///').split('?')[0]}?journal_mode=WAL&busy_timeout=60000"


def lake_table(addresses: Addresses, table: Table) -> str:
    """The full name of an Iceberg table."""
    return f"`{addresses.iceberg_catalog_name}`.`{names.NAMESPACE}`.`{table.name}`"
