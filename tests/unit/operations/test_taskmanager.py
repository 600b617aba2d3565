"""The TaskManagers: memory that adds up, and one for each job alone."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from contracts import names
from contracts.errors import MachineError
from contracts.paths import StatePaths
from contracts.settings import Flink
from operations.embedded.flink import FlinkCluster
from operations.embedded.taskmanager import Memory, TaskManager

_PARTS = (
    "framework.heap.size", "task.heap.size", "framework.off-heap.size", "task.off-heap.size", "network.max",
    "managed.size", "jvm-metaspace.size", "jvm-overhead.max",
)  # fmt: skip


@pytest.mark.parametrize("size", [960, 1024, 4096])
@pytest.mark.parametrize("job", names.JOBS)
def test_taskmanager_memory_parts_add_up_to_the_process(job: str, size: int) -> None:
    found = TaskManager.of(job, Flink(alerting_taskmanager_mb=size, lakehouse_taskmanager_mb=size))
    configuration = found.configuration()
    assert sum(int(configuration[f"taskmanager.memory.{part}"].removesuffix("m")) for part in _PARTS) == size
    assert f"-Xmx{found.memory.heap}m" in found.java_options()


def test_taskmanager_slots_of_alerting_hold_two_rule_books_for_a_while() -> None:
    settings = Flink(alerting_parallelism=3, lakehouse_parallelism=2)
    assert [TaskManager.of(job, settings).slots for job in names.JOBS] == [6, 2]


def test_taskmanager_of_each_job_alone_has_the_resource_of_its_name() -> None:
    alerting, lakehouse = (TaskManager.of(job, Flink()).configuration() for job in names.JOBS)
    assert (alerting["external-resources"], lakehouse["external-resources"]) == names.JOBS
    assert alerting["external-resource.alerting.amount"] == alerting["taskmanager.numberOfTaskSlots"]
    assert alerting["taskmanager.resource-id"] == "taskmanager-alerting"


def test_taskmanager_command_passes_its_own_configuration(tmp_path: Path) -> None:
    cluster = FlinkCluster(StatePaths(tmp_path), Path("/jdk/bin/java"), (), (), Flink(), 18081, 16123)
    command = cluster.taskmanager_command(names.LAKEHOUSE_JOB)
    given = {after for before, after in pairwise(command) if before == "-D"}
    own = TaskManager.of(names.LAKEHOUSE_JOB, Flink()).configuration()
    assert given == {f"{key}={value}" for key, value in own.items()}
    assert not own.keys() & cluster.configuration().keys()


def test_taskmanager_memory_too_small_names_the_setting_and_a_size_that_works() -> None:
    complaint = r"flink.lakehouse_taskmanager_mb=900 leaves 196 MiB .* set (\d+) or more"
    with pytest.raises(MachineError, match=complaint) as refusal:
        Memory.of(names.LAKEHOUSE_JOB, 900)
    enough = re.search(r"set (\d+) or more", str(refusal.value))
    assert enough
    assert Memory.of(names.LAKEHOUSE_JOB, int(enough[1])).heap == 256
