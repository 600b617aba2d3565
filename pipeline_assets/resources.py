"""Where the assets find the running pipeline: resources that build plain library objects from its addresses.

Inside the pipeline the addresses are environment variables; a command line beside it reads the state folder.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field
from pyiceberg.catalog import Catalog

from contracts import names
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.paths import StatePaths
from contracts.rest import rest_client
from contracts.settings import load_settings
from lake.catalog import open_catalog
from pipeline_assets.lib.flink_rest import JobStatus, job_statuses
from pipeline_assets.lib.generator_health import GeneratorHealth, read_health
from pipeline_assets.lib.kafka_lag import lags
from pipeline_assets.lib.kafka_offsets import TopicOffsets, topic_offsets
from pipeline_assets.lib.open_transactions import OpenTransaction, open_transactions

# A sensor's tick must not wait long for a part that hangs: Dagster gives up on it after 60 s.
_ANSWER_SECONDS = 3.0


class _PipelineResource(dg.ConfigurableResource[None]):
    """Base: finds the addresses of one pipeline."""

    state: str = Field(
        default="",
        description="State folder of a pipeline. Empty: the addresses in the environment, else the configured folder.",
    )

    def addresses(self) -> Addresses:
        """The addresses. Raises NotRunning where no pipeline was ever started."""
        if self.state:
            return Addresses.read(Path(self.state))
        try:
            return Addresses.from_environment()
        except NotRunning:
            return Addresses.read(load_settings().paths.root)


class LakeResource(_PipelineResource):
    """The Iceberg catalog and its warehouse."""

    @property
    def warehouse(self) -> str:
        """URI of the folder that holds the tables. Raises NotRunning."""
        return self.addresses().iceberg_warehouse

    @contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """The catalog, closed at the end: a kept one would hold its SQLite connections. Raises NotRunning."""
        with open_catalog(self.addresses()) as catalog:
            yield catalog


class KafkaResource(_PipelineResource):
    """The broker."""

    def offsets(self) -> tuple[TopicOffsets, ...]:
        """Of every topic of the pipeline that exists. Raises NotRunning."""
        return topic_offsets(self.addresses().kafka, names.TOPICS, timeout=_ANSWER_SECONDS)

    def lags(self, topics: Sequence[TopicOffsets]) -> dict[str, dict[str, int]]:
        """Return by topic and job that reads it the records that no checkpoint of the job covers. Raises NotRunning."""
        return lags(self.addresses().kafka, topics, timeout=_ANSWER_SECONDS)

    def open_transactions(self, topics: Sequence[TopicOffsets]) -> tuple[OpenTransaction, ...]:
        """Return what holds back readers of `topics`, but for what has only begun. Raises NotRunning."""
        return open_transactions(self.addresses().kafka, topics, timeout=_ANSWER_SECONDS)


class GeneratorResource(_PipelineResource):
    """The generator, by the file in which it tells of itself."""

    def health(self) -> GeneratorHealth | None:
        """What it wrote last; None where it never ran. Raises NotRunning."""
        return read_health(StatePaths(Path(self.addresses().pipeline_state)).generator_health)


class FlinkResource(_PipelineResource):
    """Flink's JobManager."""

    def jobs(self) -> tuple[JobStatus, ...]:
        """Those of the pipeline's jobs that Flink knows. Raises NotRunning."""
        with rest_client(self.addresses().flink_rest_url, timeout=_ANSWER_SECONDS) as client:
            return job_statuses(client, names.JOBS)


def resources(state: str = "") -> dict[str, dg.ConfigurableResource[None]]:
    """Every resource by its name, all of the pipeline in `state` (see there)."""
    return {
        "lake": LakeResource(state=state),
        "kafka": KafkaResource(state=state),
        "flink": FlinkResource(state=state),
        "generator": GeneratorResource(state=state),
    }
