"""A session's id says when it began, and what it ran on can be told."""

import re
from datetime import UTC, datetime

import pytest

from contracts.sessions import SESSION_VARIABLE, began, current_session, new_session, versions


def test_began_of_a_new_session_is_its_second() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    session = new_session(now)
    assert re.fullmatch("20260102T030405Z-[0-9a-f]{6}", session)
    assert began(session) == now.replace(microsecond=0)


def test_began_of_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="time data"):
        began("test")


@pytest.mark.parametrize("environment", [{}, {SESSION_VARIABLE: ""}])
def test_current_session_outside_of_a_pipeline_is_none(environment: dict[str, str]) -> None:
    assert current_session(environment) is None


def test_versions_name_the_parts_that_matter() -> None:
    assert {
        "python",
        "apache-flink",
        "dagster",
        "pyiceberg",
        "duckdb",
        "great-expectations",
        "kafka",
        "iceberg",
    } == set(versions())
    assert all(re.match(r"\d+\.\d+", version) for version in versions().values())
