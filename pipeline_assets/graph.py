"""The stream as an asset graph: what moves the data, where it rests, and what comes from what.

Everything here is external to Dagster: Kafka and Flink make it, sensors report it, nothing here can be materialized.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from contracts import names, tables
from contracts.lineage import Origin, column_origins, message_origins
from contracts.schema import ContractName, load_contract
from pipeline_assets import columns

OWNERS = ["team:payments"]
# Flink commits at every checkpoint with rows, and at every tenth without: 50 s apart at most in a healthy idle stream.
FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=5), fail_window=timedelta(minutes=15))
GENERATOR = dg.AssetKey(["generator"])


def topic_key(topic: str) -> dg.AssetKey:
    """Asset key of a Kafka topic; a key may hold letters, digits and underscores only."""
    return dg.AssetKey(["kafka", topic.replace(".", "_").replace("-", "_")])


def job_key(job: str) -> dg.AssetKey:
    """Asset key of a Flink job."""
    return dg.AssetKey(["flink", job])


def table_key(table: str) -> dg.AssetKey:
    """Asset key of an Iceberg table."""
    return dg.AssetKey(["lake", table])


def column_lineage(origins: Mapping[str, tuple[Origin, ...]]) -> dict[str, Any]:
    """Metadata that says where each column comes from: for programs, and as a table, since the open-source page does
    not show the former. Nothing for no origins."""
    if not origins:
        return {}
    deps = {
        column: [
            dg.TableColumnDep(topic_key(origin.dataset), origin.field)
            for origin in found
            if origin.field and origin.dataset in names.TOPICS
        ]
        for column, found in origins.items()
    }
    rows = [
        dg.TableRecord({"column": column, "comes from": origin.dataset, "field": origin.field or "", "how": origin.how})
        for column, found in origins.items()
        for origin in found
    ]
    return {
        "dagster/column_lineage": dg.TableColumnLineage({column: found for column, found in deps.items() if found}),
        "columns come from": dg.MetadataValue.table(rows),
    }


def stream() -> list[dg.AssetSpec]:
    """Every asset from the generator to the tables, upstream first."""
    raw, alerts = topic_key(names.RAW_TOPIC), topic_key(names.ALERT_TOPIC)
    alerting, lakehouse = job_key(names.ALERTING_JOB), job_key(names.LAKEHOUSE_JOB)
    return [
        dg.AssetSpec(
            GENERATOR,
            description="Makes realistic traffic: transactions of an account pool, some fraudulent, some malformed.",
            group_name="traffic",
            kinds={"python"},
            owners=OWNERS,
        ),
        _topic(names.RAW_TOPIC, "transaction", deps=[GENERATOR]),
        _job(names.ALERTING_JOB, "Judges every valid transaction by the alerting rules.", deps=[raw]),
        _topic(names.ALERT_TOPIC, "alert", deps=[alerting]),
        _job(
            names.LAKEHOUSE_JOB,
            "Writes transactions, alerts and refused records to the tables, exactly once.",
            deps=[raw, alerts],
        ),
        _topic(names.DEAD_LETTER_TOPIC, "dead-letter", deps=[lakehouse]),
        *(_table(table, deps=[lakehouse]) for table in tables.stream_tables()),
        kept_table(tables.commits(), deps=[table_key(stored.name) for stored in tables.stream_tables()]),
    ]


def kept_table(table: tables.Table, *, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    """A table that the control plane itself keeps."""
    return dg.AssetSpec(
        table_key(table.name),
        deps=deps,
        description=table.doc,
        group_name="lake",
        kinds={"iceberg"},
        owners=OWNERS,
        metadata={"dagster/table_name": table.identifier, "dagster/column_schema": columns.of_table(table)},
    )


def _topic(topic: str, contract: ContractName, *, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        topic_key(topic),
        deps=deps,
        description=load_contract(contract).description,
        group_name="stream",
        kinds={"kafka", "json"},
        owners=OWNERS,
        metadata={
            "topic": topic,
            "dagster/column_schema": columns.of_contract(contract),
            **column_lineage(message_origins(topic)),
        },
    )


def _job(job: str, description: str, *, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        job_key(job),
        deps=deps,
        description=description,
        group_name="stream",
        kinds={"flink"},
        owners=OWNERS,
        metadata={"job": job},
    )


def _table(table: tables.Table, *, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    metadata: dict[str, Any] = {
        "dagster/table_name": table.identifier,
        "dagster/column_schema": columns.of_table(table),
        "partitioned by": f"UTC day of {table.partition_by}",
        **column_lineage(column_origins(table)),
    }
    return dg.AssetSpec(
        table_key(table.name),
        deps=deps,
        description=table.doc,
        group_name="lake",
        kinds={"flink", "iceberg"},
        owners=OWNERS,
        metadata=metadata,
        freshness_policy=FRESHNESS,
    )
