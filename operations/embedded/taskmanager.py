"""One Flink TaskManager: the job it serves, how its memory is divided, and what makes only that job's tasks run in it.

A TaskManager a job, so that the operating system lets alerts go first wherever both want a core: a process of lower
priority writes the tables. Also, one's lack of memory, or a crash, ends only one. Flink gives a task any free slot; an
external resource of the job's name, which only this TaskManager has and only that job asks for, says which it must be.
"""

from dataclasses import dataclass

from contracts import names
from contracts.errors import MachineError
from contracts.settings import Flink

# MiB.
_LEAST_HEAP = 256


@dataclass(frozen=True)
class Memory:
    """How a TaskManager's process size is divided, in MiB.

    Managed memory is 0: RocksDB allocates outside of it, within the overhead, what `streaming.jobs.plan` allows it.
    """

    heap: int
    network: int = 64
    off_heap: int = 128
    metaspace: int = 256
    overhead: int = 256

    @classmethod
    def of(cls, job: str, process_mb: int) -> "Memory":
        """The division of `process_mb` for `job`. Raises MachineError where too little is left for the heap."""
        fixed = cls.network + cls.off_heap + cls.metaspace + cls.overhead
        heap = process_mb - fixed
        if heap < _LEAST_HEAP:
            raise MachineError(
                f"flink.{job}_taskmanager_mb={process_mb} leaves {heap} MiB of heap; the job needs {_LEAST_HEAP}: "
                f"set {fixed + _LEAST_HEAP} or more"
            )
        return cls(heap=heap)


@dataclass(frozen=True)
class TaskManager:
    """The TaskManager of `job`, with room for `slots` of its subtasks."""

    job: str
    slots: int
    memory: Memory

    @classmethod
    def of(cls, job: str, settings: Flink) -> "TaskManager":
        """As the settings have it. Raises MachineError where they leave it too little memory."""
        memory_mb, slots = {
            # A new rule book runs beside the one in force until it has caught up.
            names.ALERTING_JOB: (settings.alerting_taskmanager_mb, 2 * settings.alerting_parallelism),
            names.LAKEHOUSE_JOB: (settings.lakehouse_taskmanager_mb, settings.lakehouse_parallelism),
        }[job]
        return cls(job, slots, Memory.of(job, memory_mb))

    @property
    def name(self) -> str:
        """The component, and what Flink calls it."""
        return names.TASKMANAGERS[self.job]

    def configuration(self) -> dict[str, str]:
        """What it does not share with the cluster, keys as Flink spells them."""
        memory = self.memory
        return {
            "taskmanager.resource-id": self.name,
            "taskmanager.numberOfTaskSlots": str(self.slots),
            "taskmanager.cpu.cores": str(float(self.slots)),
            "external-resources": self.job,
            f"external-resource.{self.job}.amount": str(self.slots),
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.task.heap.size": f"{memory.heap - 128}m",
            "taskmanager.memory.framework.off-heap.size": "96m",
            "taskmanager.memory.task.off-heap.size": f"{memory.off_heap - 96}m",
            "taskmanager.memory.network.min": f"{memory.network}m",
            "taskmanager.memory.network.max": f"{memory.network}m",
            "taskmanager.memory.managed.size": "0m",
            "taskmanager.memory.jvm-metaspace.size": f"{memory.metaspace}m",
            "taskmanager.memory.jvm-overhead.min": f"{memory.overhead}m",
            "taskmanager.memory.jvm-overhead.max": f"{memory.overhead}m",
        }

    def java_options(self) -> tuple[str, ...]:
        """The same division as Java's limits."""
        return (
            f"-Xms{self.memory.heap}m",
            f"-Xmx{self.memory.heap}m",
            f"-XX:MaxDirectMemorySize={self.memory.network + self.memory.off_heap}m",
            f"-XX:MaxMetaspaceSize={self.memory.metaspace}m",
        )
