"""What a check found: plain values that everyone may read without loading Great Expectations (3 s, 260 MB)."""

from dataclasses import dataclass
from typing import Literal

Dimension = Literal["uniqueness", "validity", "completeness", "timeliness", "accuracy", "consistency"]


@dataclass(frozen=True)
class CheckOutcome:
    """One expectation held against the rows of one snapshot.

    `name` says what was expected; a breach of what is not `critical` is a warning. `rows` is how many rows were looked
    at, `unexpected` how many of them broke it (None where the expectation is about the whole and not about single
    rows). `examples` are a few offending values.
    """

    name: str
    dimension: Dimension
    critical: bool
    passed: bool
    rows: int
    unexpected: int | None
    examples: tuple[str, ...]
