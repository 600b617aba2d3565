"""The words in which the suites say what is expected: plain values, without Great Expectations, DuckDB or Arrow.

Each is said once and projected twice: to Great Expectations over DuckDB for a whole table (`great.py`), and to Arrow
for the few rows that a commit adds (`new_rows.py`), where loading Great Expectations would cost 3 s and 260 MB.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from quality.outcome import Dimension


@dataclass(frozen=True, kw_only=True)
class Expectation(ABC):
    """Base. `critical` tells whether a breach blocks what comes after; else it is a warning."""

    dimension: Dimension
    critical: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """What is expected, in words."""

    @property
    def about(self) -> tuple[str, ...]:
        """The columns that it judges; none for what a query asks."""
        return ()


@dataclass(frozen=True, kw_only=True)
class OfColumn(Expectation):
    """Base: of each value of one column. A missing value breaks `Present` alone."""

    column: str

    @property
    def about(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True, kw_only=True)
class Present(OfColumn):
    """There is a value."""

    dimension: Dimension = "completeness"

    @property
    def name(self) -> str:
        return f"{self.column} is present"


@dataclass(frozen=True, kw_only=True)
class OneOf(OfColumn):
    """The value is one of `values`."""

    values: tuple[str, ...]
    dimension: Dimension = "validity"

    @property
    def name(self) -> str:
        return f"{self.column} is one of the {len(self.values)} in the contract"


@dataclass(frozen=True, kw_only=True)
class Matches(OfColumn):
    """A part of the value matches the regular expression `pattern`, as JSON Schema means it."""

    pattern: str
    dimension: Dimension = "validity"

    @property
    def name(self) -> str:
        return f"{self.column} matches {self.pattern}"


@dataclass(frozen=True, kw_only=True)
class HasLength(OfColumn):
    """The value has `least` to `most` characters; None is no bound."""

    least: int | None
    most: int | None
    dimension: Dimension = "validity"

    @property
    def name(self) -> str:
        return f"{self.column} has {self.least or 0} to {self.most or 'any number of'} characters"


@dataclass(frozen=True, kw_only=True)
class AboveZero(OfColumn):
    """The number is above zero."""

    dimension: Dimension = "validity"

    @property
    def name(self) -> str:
        return f"{self.column} is above zero"


@dataclass(frozen=True, kw_only=True)
class NotAfter(OfColumn):
    """The time lies no more than `seconds` after the time in column `other`."""

    other: str
    seconds: int
    dimension: Dimension = "accuracy"

    @property
    def name(self) -> str:
        return f"{self.column} is at most {self.seconds} s after {self.other}"


@dataclass(frozen=True, kw_only=True)
class AtMost(OfColumn):
    """The number is no higher than the bound of the value in column `by`; `otherwise` bounds the values not named."""

    by: str
    bounds: Mapping[str, Decimal]
    otherwise: Decimal
    dimension: Dimension = "accuracy"

    @property
    def name(self) -> str:
        return f"{self.column} is within the bound of its {self.by}"


@dataclass(frozen=True, kw_only=True)
class Unique(Expectation):
    """No two rows have the same values in `columns`; rows without a value count as nothing."""

    columns: tuple[str, ...]
    dimension: Dimension = "uniqueness"

    @property
    def name(self) -> str:
        listed = ", ".join(self.columns)
        return f"{self.columns[0] if len(self.columns) == 1 else f'({listed})'} is unique"

    @property
    def about(self) -> tuple[str, ...]:
        return self.columns


@dataclass(frozen=True, kw_only=True)
class NoRows(Expectation):
    """A query of DuckDB finds nothing: each row it finds is a breach.

    Asked of whole tables only. `{batch}` in it is the table itself, without an alias; the other tables that the suite
    names have their own names. Braces of its own are doubled.
    """

    said: str
    query: str

    @property
    def name(self) -> str:
        return self.said


@dataclass(frozen=True)
class Suite:
    """All that is expected of one table. `others` are the tables that its queries name as well."""

    table: str
    expectations: tuple[Expectation, ...]
    others: tuple[str, ...] = ()
