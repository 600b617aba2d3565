"""Whatever ends an operation, wherever in it: nothing is lost, doubled or half there, and the next run finishes it.

The failpoints are found in the code: before and after each call that removes or writes, and in the midst of those that
take several steps.
"""

from pathlib import Path

import pytest

from tests.changing_calls import modules_of_the_page, removing_calls
from tests.failpoints import Disturbance, disturbed, failpoints_of
from tests.interruptions.catalogue import MODULES, OPERATIONS
from tests.interruptions.operation import Operation, Seen, Stage


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_operation_disturbed_wherever_it_changes_something_loses_nothing_and_is_finished_by_the_next(
    operation: Operation, tmp_path: Path
) -> None:
    stage = Stage(operation, tmp_path.resolve() / "state")
    stage.prepare()
    before = operation.look(stage.folder)
    stage.begin_again()
    known = {stage.fingerprint()}
    failpoints = failpoints_of(stage.run, MODULES)
    after, rest = operation.look(stage.folder), operation.rest(stage.folder)
    for disturbance, failpoint in [(disturbance, failpoint) for disturbance in Disturbance for failpoint in failpoints]:
        where = f"{disturbance} {failpoint}"
        stage.begin_again()
        disturbed(stage.run, MODULES, failpoint, disturbance)
        if (found := stage.fingerprint()) in known:
            continue  # as another disturbance has left it
        known.add(found)
        seen = operation.look(stage.folder)
        assert _neither(seen, before, after) == {}, where
        operation.promise(seen)
        stage.run()
        assert (operation.look(stage.folder), operation.rest(stage.folder)) == (after, rest), where


def _neither(seen: Seen, before: Seen, after: Seen) -> Seen:
    """Return what is neither as it was before nor as it is after an undisturbed run."""
    assert seen.keys() <= before.keys() | after.keys()
    return {name: found for name, found in seen.items() if found not in (before.get(name), after.get(name))}


def test_operations_reach_every_call_that_removes_something(tmp_path: Path) -> None:
    reached: set[object] = set()
    for operation in OPERATIONS:
        stage = Stage(operation, tmp_path.resolve() / operation.name)
        stage.prepare()
        reached |= {failpoint.call for failpoint in failpoints_of(stage.run, MODULES)}
    listed = modules_of_the_page()
    assert [str(call) for call in removing_calls() if call.module in listed and call not in reached] == []
