"""Who did what, and how it ended."""

import json
import os
import threading
from pathlib import Path

import pytest

from contracts.errors import PipelineError
from contracts.paths import StatePaths
from operations.audit import audited, operator


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    found = StatePaths(tmp_path)
    found.run.mkdir()
    return found


def entries(paths: StatePaths) -> list[dict[str, object]]:
    return [json.loads(line) for line in (paths.logs / "audit.log").read_text().splitlines()]


def test_audited_action_tells_who_did_what_with_which_options(paths: StatePaths) -> None:
    with audited(paths, "up", detach=True):
        pass
    (entry,) = entries(paths)
    assert (entry["operator"], entry["action"], entry["detach"], entry["outcome"]) == (operator(), "up", True, "done")
    assert (paths.logs / "audit.log").stat().st_mode & 0o077 == 0


def test_audited_failure_is_recorded_with_its_reason_and_raised(paths: StatePaths) -> None:
    with pytest.raises(PipelineError), audited(paths, "rules deploy"):
        raise PipelineError("no such rule")
    assert entries(paths)[0]["outcome"] == "failed: no such rule"


def test_audited_interruption_is_recorded(paths: StatePaths) -> None:
    with pytest.raises(KeyboardInterrupt), audited(paths, "up"):
        raise KeyboardInterrupt
    assert entries(paths)[0]["outcome"] == "broken off"


def test_audited_in_a_folder_of_something_else_writes_nothing(tmp_path: Path) -> None:
    with audited(StatePaths(tmp_path), "up"):
        pass
    assert not list(tmp_path.iterdir())


def test_audited_actions_at_once_are_whole_lines(paths: StatePaths) -> None:
    def act() -> None:
        for _ in range(50):
            with audited(paths, "up", text="x" * 500):
                pass

    threads = [threading.Thread(target=act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(entries(paths)) == 200


def test_operator_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert operator() == f"uid {os.getuid()}"
