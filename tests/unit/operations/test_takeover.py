"""That a process notices when the one that started it is gone."""

import signal
import subprocess
import sys

from contracts.paths import PROJECT

_CHILD = (
    "import time; from operations.embedded.takeover import Orphanhood; orphaned = Orphanhood();"
    "assert not orphaned; print('child', flush=True)\n"
    "while not orphaned: time.sleep(0.01)\n"
    "print('orphaned', flush=True)"
)
_PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_CHILD!r}])"


def test_orphanhood_begins_when_the_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "child\n"
        parent.send_signal(signal.SIGKILL)
        assert parent.stdout.readline() == "orphaned\n"
