"""Several processes as one."""

import pytest

from contracts.errors import ConfigError
from generator.population import Shard
from generator.processes import part_of, shard_of


def test_shard_of_number_and_count() -> None:
    assert shard_of("1/4") == Shard(1, 4)


@pytest.mark.parametrize("text", ["", "4/4", "1", "a/b", "-1/2"])
def test_shard_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a shard is like 0/4"):
        shard_of(text)


def test_part_of_parts_add_up_to_the_limit() -> None:
    assert [part_of(10, Shard(number, 4)) for number in range(4)] == [3, 3, 2, 2]
    assert part_of(None, Shard(0, 4)) is None
