"""Holds the rows that one commit added against what is expected of single rows, in Arrow.

A second projection of `expectations.py`, beside `great.py`: for the sensor that sees each commit, in a process that
must stay small. What concerns a whole table, or another one, is left to the full suite.
"""

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from quality.expectations import (
    AboveZero,
    AtMost,
    Expectation,
    HasLength,
    Matches,
    NotAfter,
    OfColumn,
    OneOf,
    Present,
    Suite,
    Unique,
)
from quality.outcome import CheckOutcome

_EXAMPLES = 3


def check(suite: Suite, rows: pa.Table) -> tuple[CheckOutcome, ...]:
    """The outcome of each expectation of `suite` that can be judged from `rows` alone, in its order.

    `rows` have the columns of the suite's table. A column that is missing raises KeyError.
    """
    return tuple(found for expected in suite.expectations if (found := _outcome(expected, rows)) is not None)


def _outcome(expected: Expectation, rows: pa.Table) -> CheckOutcome | None:
    examples: tuple[str, ...] = ()
    if isinstance(expected, Unique):
        unexpected = _repeated(rows, expected.columns)
    elif isinstance(expected, OfColumn):
        broken = pc.fill_null(_broken(expected, rows), False)
        unexpected = pc.sum(broken).as_py() or 0
        if unexpected:
            values = rows.column(expected.column).filter(broken).slice(0, 100).to_pylist()
            examples = tuple(dict.fromkeys(map(str, values)))[:_EXAMPLES]
    else:
        return None
    return CheckOutcome(
        name=expected.name,
        dimension=expected.dimension,
        critical=expected.critical,
        passed=not unexpected,
        rows=rows.num_rows,
        unexpected=unexpected,
        examples=examples,
    )


def _repeated(rows: pa.Table, columns: tuple[str, ...]) -> int:
    """How many rows share their values with another one."""
    values = rows.select(columns).drop_null()
    counted = values.group_by(list(columns)).aggregate([([], "count_all")]).column("count_all")
    return pc.sum(counted.filter(pc.greater(counted, 1))).as_py() or 0


def _broken(expected: OfColumn, rows: pa.Table) -> pa.ChunkedArray:
    """Of each row whether it breaks it; null where it has no value to judge."""
    values = rows.column(expected.column)
    match expected:
        case Present():
            return values.is_null()
        case OneOf(values=known):
            return pc.if_else(values.is_valid(), pc.invert(pc.is_in(values, pa.array(known, values.type))), None)
        case Matches(pattern=pattern):
            return pc.invert(pc.match_substring_regex(values, pattern))
        case HasLength(least=least, most=most):
            length = pc.utf8_length(values)
            return pc.or_(pc.less(length, least or 0), pc.greater(length, most if most is not None else 2**31 - 1))
        case AboveZero():
            return pc.less_equal(values, pa.scalar(Decimal(0), values.type))
        case NotAfter(other=other, seconds=seconds):
            # In microseconds since the epoch, as the tables have times.
            latest = pc.add(_microseconds(rows.column(other)), seconds * 1_000_000)
            return pc.greater(_microseconds(values), latest)
        case AtMost(by=by, bounds=bounds, otherwise=otherwise):
            kind = pa.decimal128(38, values.type.scale)
            limit: pa.ChunkedArray | pa.Scalar = pa.scalar(otherwise, kind)
            for value, bound in bounds.items():
                limit = pc.if_else(pc.equal(rows.column(by), value), pa.scalar(bound, kind), limit)
            return pc.greater(values.cast(kind), limit)
        case _:
            raise TypeError(f"{type(expected).__name__} cannot be judged from new rows")


def _microseconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
