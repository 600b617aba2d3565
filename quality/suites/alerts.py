"""What every row of `finance.alerts` must be, and that each has its transaction."""

from contracts import names, tables
from contracts.schema import load_contract
from quality.expectations import NoRows, NotAfter, Suite, Unique
from quality.settings import QualitySettings
from quality.suites.contract import complete, valid
from quality.suites.measures import timely

# Alerts come from a job of their own, which may be ahead: those count whose transaction the other job has passed. If a
# person has passed over the record since, it is a dead letter instead.
_WITHOUT = f"""
WITH stored AS (SELECT kafka_partition AS part, kafka_offset AS place, transaction_id AS id FROM {names.TRANSACTIONS}),
     reached AS (SELECT part AS reached_part, max(place) AS farthest FROM stored GROUP BY part)
SELECT alert_id, transaction_id, source_partition, source_offset FROM {{batch}}
JOIN reached ON source_partition = reached_part AND source_offset <= farthest
ANTI JOIN stored ON source_partition = part AND source_offset = place AND transaction_id = id
ANTI JOIN (
  SELECT "partition", "offset" FROM {names.DEAD_LETTERS}
  WHERE topic = '{names.RAW_TOPIC}' AND reason_code = '{names.SKIPPED}'
) ON source_partition = "partition" AND source_offset = "offset"
"""


def suite(settings: QualitySettings) -> Suite:
    """The full suite."""
    table = tables.alerts()
    return Suite(
        table.name,
        (
            *complete(table),
            Unique(columns=(table.key or "",)),
            *(rule for field in load_contract("alert").fields for rule in valid(field)),
            *timely(settings.timeliness),
            NotAfter(
                column="event_time", other="detected_at", seconds=settings.accuracy.future_seconds, critical=False
            ),
            NoRows(dimension="consistency", said="every alert has its transaction", query=_WITHOUT),
        ),
        others=(names.TRANSACTIONS, names.DEAD_LETTERS),
    )
