"""A Flink job as data: the SQL it is made of and its configuration. Golden files hold every plan."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from contracts import names
from contracts.addresses import Addresses
from contracts.settings import Flink

_NOWHERE = Addresses(
    kafka_bootstrap_servers="kafka:9092",
    flink_rest_url="http://flink:8081",
    dagster_url="http://dagster:3000",
    iceberg_catalog_uri="sqlite:///catalog.db",
    iceberg_catalog_name=names.CATALOG,
    iceberg_warehouse="file:///warehouse",
    pipeline_state="/state",
)
# The job parameter that carries the plan's fingerprint.
FINGERPRINT = "fingerprint"


@dataclass(frozen=True)
class Once:
    """Computes the view `view` once, for every reader of the view `name`; `arrived` is added, as processing time.

    Flink expands a view wherever it is read and does not find the copies again when they hold a correlation: three
    rules would judge every record three times (26 CPU s per 500,000 records, against 13 with this).
    """

    view: str
    name: str

    def __str__(self) -> str:
        return f"-- once: {self.view} as {self.name}"


@dataclass(frozen=True)
class JobPlan:
    """`definitions` run first, one by one; the `inserts` together are the job. `options` are Flink's own keys.

    `fingerprint` is a hash of what the job does, wherever it runs: state fits only a plan with the one that wrote it.
    """

    name: str
    definitions: tuple[str | Once, ...]
    inserts: tuple[str, ...]
    options: dict[str, str]
    fingerprint: str = ""


def placed(plan: Callable[[Addresses], JobPlan], addresses: Addresses) -> JobPlan:
    """The plan at `addresses`. Its fingerprint is that of the same plan at no place at all."""
    nowhere = plan(_NOWHERE)
    text = "\n".join(map(str, (*nowhere.definitions, *nowhere.inserts)))
    return replace(plan(addresses), fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16])


def job_options(
    name: str, flink: Flink, *, parallelism: int, checkpoint_ms: int, buffer_timeout_ms: int
) -> dict[str, str]:
    """The configuration that both jobs share. Times are in milliseconds."""
    return {
        "pipeline.name": name,
        "parallelism.default": str(parallelism),
        # Operators of one task hand each other the same objects: SQL operators never change their input.
        "pipeline.object-reuse": "true",
        "table.local-time-zone": "UTC",
        "execution.buffer-timeout.interval": f"{buffer_timeout_ms} ms",
        # On disk: as objects an account takes 3 KB, and a million of them the heap of a server. Whether an account was
        # ever seen is answered by the bloom filter.
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "state.backend.rocksdb.use-bloom-filter": "true",
        # Flink's own bound for all of it makes each small part smaller still, and it flushes for ever (4 times slower).
        # Each operator with state takes at most 48 MB: two write buffers and a cache.
        "state.backend.rocksdb.memory.managed": "false",
        "state.backend.rocksdb.writebuffer.size": "8 mb",
        "state.backend.rocksdb.block.cache-size": "32 mb",
        # Merged with files of like size, not into all of the next level: 6 us less a record at 300,000 accounts.
        "state.backend.rocksdb.compaction.style": "UNIVERSAL",
        # As small as with Snappy, the default, at 4 us less a record.
        "state.backend.rocksdb.compression.per.level": "LZ4_COMPRESSION",
        "table.exec.state.ttl": f"{flink.state_hours} h",
        "execution.checkpointing.interval": f"{checkpoint_ms} ms",
        "execution.checkpointing.min-pause": f"{min(checkpoint_ms // 2, 1000)} ms",
        "execution.checkpointing.timeout": "2 min",
        # A session cluster forgets its jobs when the JobManager dies; they are resubmitted from these.
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        # For ever, since a broken world may mend: at once at first, then each time twice as late.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "20 s",
    }
