"""The memory that a process takes, its children's included."""

from contextlib import suppress

import psutil


def memory_mb(pid: int) -> int | None:
    """Proportional set size of process `pid` and its children, in MiB; None where it has ended or is another user's."""
    try:
        leader = psutil.Process(pid)
        children = leader.children(recursive=True)
        size = _share(leader)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    for child in children:
        with suppress(psutil.NoSuchProcess):  # it was a short one, and ended meanwhile
            size += _share(child)
    return size // 2**20


def _share(process: psutil.Process) -> int:
    """Bytes. Shared pages are divided among those who share them, so that the sum over processes is what they take."""
    return int(getattr(process.memory_full_info(), "pss", process.memory_info().rss))
