"""Every module that removes a file, a folder or rows is listed in docs/operations.md, with what makes that safe."""

from tests.changing_calls import modules_of_the_page, removing_calls


def test_modules_that_remove_something_are_those_that_the_page_on_operations_lists() -> None:
    listed, calls = modules_of_the_page(), removing_calls()
    assert [str(call) for call in calls if call.module not in listed] == []
    assert listed - {call.module for call in calls} == set(), "listed, and removes nothing"
