"""Lineage in OpenLineage's words (openlineage.io, spec 2-0-2): what ran, what it read, and which versions it wrote.

Pure: values in, events out. A session is a run of the job `pipeline`, and the parent of a run of each Flink job; their
ids are made of the session's, so that an event that is sent twice says the same. Dagster's runs keep their own ids.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    external_query_run,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
    symlinks_dataset,
)

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.lineage import TOPIC_CONTRACTS, column_origins
from contracts.s3 import is_s3
from contracts.schema import load_contract
from lake.sessions import LOST, RUNNING, Session

_Kind = TypeVar("_Kind", InputDataset, OutputDataset)

NAMESPACE = "fraud-lakehouse"
PRODUCER = "urn:fraud-lakehouse"
PIPELINE = "pipeline"
_ENDS = {LOST: RunState.ABORT}
# What each Flink job reads and writes beside the tables.
_TOPICS = {
    names.ALERTING_JOB: ((names.RAW_TOPIC,), (names.ALERT_TOPIC,)),
    names.LAKEHOUSE_JOB: ((names.RAW_TOPIC, names.ALERT_TOPIC), (names.DEAD_LETTER_TOPIC,)),
}


@dataclass(frozen=True)
class Growth:
    """What a session committed to a table since the last event: the newest snapshot, when it was made, and rows."""

    session_id: str
    table: str
    snapshot_id: int
    sequence_number: int
    committed_at: datetime
    rows: int
    flink_job_id: str | None


@dataclass(frozen=True)
class Checked:
    """The outcome of a check of a table, by name."""

    table: str
    check: str
    passed: bool
    severity: str


@dataclass(frozen=True)
class Ran:
    """A finished run of Dagster; `read` are the tables that its assets come from, `wrote` the assets' keys."""

    run_id: str
    job: str
    state: RunState
    started_at: datetime
    ended_at: datetime
    read: tuple[str, ...]
    wrote: tuple[tuple[str, ...], ...]
    checks: tuple[Checked, ...]


class Events:
    """Makes the events of the pipeline at these addresses."""

    def __init__(self, addresses: Addresses) -> None:
        self._kafka = f"kafka://{addresses.kafka_bootstrap_servers}"
        self._warehouse = addresses.iceberg_warehouse.removeprefix("file://")
        self._catalog = addresses.iceberg_catalog_name

    def of_session(self, session: Session, told: str | None, growth: Mapping[str, Growth]) -> Iterator[RunEvent]:
        """What is new of a session: its start, what its tables grew by, and its end. `told` is the state that the last
        events told of, None where there were none."""
        if told is None:
            yield from self._of_jobs(session, RunState.START, session.started_at, {})
        if growth:
            newest = max(grown.committed_at for grown in growth.values())
            yield self._of_job(session, names.LAKEHOUSE_JOB, RunState.RUNNING, newest, growth)
        if session.state != RUNNING and told != session.state:
            ended = session.ended_at or session.seen_at
            yield from self._of_jobs(session, _ENDS.get(session.state, RunState.COMPLETE), ended, {})

    def of_run(self, ran: Ran) -> Iterator[RunEvent]:
        """The start and the end of a run of Dagster."""
        job, run = Job(NAMESPACE, f"dagster.{ran.job}"), ran.run_id
        inputs = [self._read(table, ran.checks) for table in ran.read]
        outputs = [self._written(key) for key in ran.wrote]
        yield _event(RunState.START, ran.started_at, Run(run), job, inputs, outputs)
        yield _event(ran.state, ran.ended_at, Run(run), job, inputs, outputs)

    def _of_jobs(
        self, session: Session, state: RunState, at: datetime, growth: Mapping[str, Growth]
    ) -> Iterator[RunEvent]:
        jobs = [self._of_job(session, job, state, at, growth) for job in names.JOBS]
        own = _event(state, at, Run(_run_id(session, PIPELINE)), Job(NAMESPACE, PIPELINE), [], [])
        yield from (own, *jobs) if state is RunState.START else (*jobs, own)

    def _of_job(
        self, session: Session, job: str, state: RunState, at: datetime, growth: Mapping[str, Growth]
    ) -> RunEvent:
        reads, writes = _TOPICS[job]
        outputs = [self._topic(topic, OutputDataset) for topic in writes]
        if job == names.LAKEHOUSE_JOB:
            outputs += [self._grown(table, growth.get(table.name)) for table in tables.stream_tables()]
        facets: dict[str, Any] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(_run_id(session, PIPELINE)), job=parent_run.Job(NAMESPACE, PIPELINE)
            )
        }
        if flink := next((grown.flink_job_id for grown in growth.values() if grown.flink_job_id), None):
            facets["externalQuery"] = external_query_run.ExternalQueryRunFacet(externalQueryId=flink, source="flink")
        run = Run(_run_id(session, job), facets=facets)
        inputs = [self._topic(topic, InputDataset) for topic in reads]
        return _event(state, at, run, Job(NAMESPACE, f"flink.{job}"), inputs, outputs)

    def _topic(self, topic: str, kind: type[_Kind]) -> _Kind:
        schema = [
            schema_dataset.SchemaDatasetFacetFields(
                name=field.name, type=field.json_type, description=field.description
            )
            for field in load_contract(TOPIC_CONTRACTS[topic]).fields
        ]
        return kind(self._kafka, topic, facets={"schema": schema_dataset.SchemaDatasetFacet(fields=schema)})

    def _read(self, table: str, checks: Sequence[Checked]) -> InputDataset:
        found = InputDataset(*self._where(table), facets=self._facets(table))
        told = [
            data_quality_assertions_dataset.Assertion(
                assertion=one.check, name=one.check, success=one.passed, severity=one.severity
            )
            for one in checks
            if one.table == table
        ]
        if told:
            found.inputFacets = {
                "dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(told)
            }
        return found

    def _written(self, key: tuple[str, ...]) -> OutputDataset:
        *folder, name = key
        if folder == ["lake"]:
            return OutputDataset(*self._where(name), facets=self._facets(name))
        return OutputDataset("dagster", "/".join(key))

    def _grown(self, table: tables.Table, growth: Growth | None) -> OutputDataset:
        facets = self._facets(table.name) | {"columnLineage": self._column_lineage(table)}
        found = OutputDataset(*self._where(table.name), facets=facets)
        if growth:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(growth.snapshot_id))
            statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=growth.rows)
            found.outputFacets = {"outputStatistics": statistics}
        return found

    def _where(self, table: str) -> tuple[str, str]:
        """By the naming rules of OpenLineage: a table in files is where its folder, or its bucket, is."""
        if not is_s3(self._warehouse):
            return "file", f"{self._warehouse}/{names.NAMESPACE}/{table}"
        bucket, _, path = self._warehouse.removeprefix("s3://").partition("/")
        return f"s3://{bucket}", "/".join(part for part in (path, names.NAMESPACE, table) if part)

    def _facets(self, table: str) -> dict[str, Any]:
        definition = next(known for known in tables.all_tables() if known.name == table)
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=column.name, type=column.type, description=column.doc)
            for column in definition.columns
        ]
        named = symlinks_dataset.Identifier(self._catalog, definition.identifier, "TABLE")
        return {
            "schema": schema_dataset.SchemaDatasetFacet(fields=fields),
            "symlinks": symlinks_dataset.SymlinksDatasetFacet(identifiers=[named]),
        }

    def _column_lineage(self, table: tables.Table) -> column_lineage_dataset.ColumnLineageDatasetFacet:
        fields = {}
        for column, origins in column_origins(table).items():
            found = [
                column_lineage_dataset.InputField(
                    self._kafka,
                    origin.dataset,
                    origin.field,
                    [
                        column_lineage_dataset.Transformation(
                            "DIRECT", "IDENTITY" if origin.how == "copied" else "TRANSFORMATION", origin.how
                        )
                    ],
                )
                for origin in origins
                if origin.field and origin.dataset in names.TOPICS
            ]
            if found:
                fields[column] = column_lineage_dataset.Fields(found)
        return column_lineage_dataset.ColumnLineageDatasetFacet(fields)


def _run_id(session: Session, job: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"{PRODUCER}/{session.session_id}/{job}"))


def _event(
    state: RunState, at: datetime, run: Run, job: Job, inputs: list[InputDataset], outputs: list[OutputDataset]
) -> RunEvent:
    return RunEvent(
        eventTime=at.isoformat(), eventType=state, run=run, job=job, inputs=inputs, outputs=outputs, producer=PRODUCER
    )
