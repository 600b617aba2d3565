"""What every row of `finance.dead_letters` must be: one for each refused record, with a reason."""

from contracts import names, tables
from contracts.schema import load_contract
from quality.expectations import NoRows, Suite, Unique
from quality.settings import QualitySettings
from quality.suites.contract import complete, valid

_DISAGREEMENT = "validator_disagreement"


def suite(settings: QualitySettings) -> Suite:
    """The full suite."""
    table = tables.dead_letters()
    stored = f"SELECT kafka_partition, kafka_offset FROM {names.TRANSACTIONS}"
    future = settings.accuracy.future_seconds
    return Suite(
        table.name,
        (
            *complete(table),
            Unique(columns=("topic", "partition", "offset")),
            *(rule for field in load_contract("dead-letter").fields for rule in valid(field)),
            NoRows(
                dimension="accuracy",
                critical=False,
                said=f"failed_at is at most {future} s in the future",
                query=f"SELECT * FROM {{batch}} WHERE failed_at > now() + INTERVAL {future} SECOND",
            ),
            NoRows(
                dimension="accuracy",
                said="no record was refused that the contract accepts",
                query=f"SELECT * FROM {{batch}} WHERE reason_code = '{_DISAGREEMENT}'",
            ),
            NoRows(
                dimension="consistency",
                said="no dead letter is a transaction too",
                query=f"""SELECT "partition", "offset" FROM {{batch}} WHERE topic = '{names.RAW_TOPIC}' """
                f"""AND ("partition", "offset") IN ({stored})""",
            ),
        ),
        others=(names.TRANSACTIONS,),
    )
