"""The text of a place in Kafka: what a person may write, and what a header must be."""

import re

import pytest

from contracts import positions
from contracts.positions import Position


@pytest.mark.parametrize("text", ["transactions.raw/0/4711", "a/9999999999/9223372036854775807", "A_b-c.d/1/0"])
def test_position_in_full_reads_back_as_written(text: str) -> None:
    assert str(Position.parse(text)) == text


def test_position_short_is_of_the_raw_topic_and_shown_short() -> None:
    position = Position.parse("1/42")
    assert (str(position), position.short) == ("transactions.raw/1/42", "1/42")
    assert Position.parse("other/1/42").short == "other/1/42"


@pytest.mark.parametrize(
    "text", ["", "4711", "a/b/c", "0/-1", "t/0/1\n", "t /0/1", "t/0/1/2", "x" * 250 + "/0/1", "٣/٤", "0/" + "1" * 20]
)
def test_position_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="is no position; write partition/offset"):
        Position.parse(text)
    assert not re.fullmatch(positions.FORM, text)
