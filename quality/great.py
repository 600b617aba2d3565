"""Projects what is expected to Great Expectations, for DuckDB: the stock ones where they run there, else a query."""

from typing import Any, ClassVar, assert_never

from great_expectations import ExpectationSuite
from great_expectations.expectations import core as gxe
from great_expectations.expectations.expectation import Expectation as Great
from great_expectations.expectations.metadata_types import FailureSeverity

from lake.sql import quote
from quality.expectations import (
    AboveZero,
    AtMost,
    Expectation,
    HasLength,
    Matches,
    NoRows,
    NotAfter,
    OneOf,
    Present,
    Suite,
    Unique,
)

_COUNT, _ROWS = "unexpected_rows_query.row_count", "unexpected_rows_query.table"


class NoRowIsFound(gxe.UnexpectedRowsExpectation):
    """A query finds nothing. The stock one asks twice, also for rows that are shown nowhere: a quarter of a suite."""

    metric_dependencies: ClassVar[tuple[str, ...]] = (_COUNT,)

    def _validate(self, metrics: dict[str, Any], *settings: Any, **named: Any) -> Any:
        return super()._validate({**metrics, _ROWS: []}, *settings, **named)


Known = Present | OneOf | Matches | HasLength | AboveZero | NotAfter | AtMost | Unique | NoRows


def great_suite(suite: Suite) -> ExpectationSuite:
    """The suite. Each expectation's meta holds the name under which its result is found again."""
    return ExpectationSuite(name=suite.table, expectations=[great(expected) for expected in suite.expectations])


def great(expected: Expectation) -> Great:
    """One expectation."""
    meta = {"name": expected.name, "dimension": expected.dimension}
    severity = FailureSeverity.CRITICAL if expected.critical else FailureSeverity.WARNING
    known: Known = expected  # type: ignore[assignment]  # assert_never below holds the list to be whole
    match known:
        case Present(column=column):
            return gxe.ExpectColumnValuesToNotBeNull(column=column, meta=meta, severity=severity)
        case OneOf(column=column, values=values):
            return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(values), meta=meta, severity=severity)
        case HasLength(column=column, least=least, most=most):
            return gxe.ExpectColumnValueLengthsToBeBetween(
                column=column, min_value=least, max_value=most, meta=meta, severity=severity
            )
        case AboveZero(column=column):
            return gxe.ExpectColumnValuesToBeBetween(
                column=column, min_value=0, strict_min=True, meta=meta, severity=severity
            )
        case Unique(columns=(column,)):
            return gxe.ExpectColumnValuesToBeUnique(column=column, meta=meta, severity=severity)
        case Unique(columns=columns):
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(columns), meta=meta, severity=severity)
        case Matches(column=column):
            return _query(_breaching(known, column), meta, severity)
        case NotAfter(column=column, other=other):
            return _query(_breaching(known, column, other), meta, severity)
        case AtMost(column=column, by=by):
            return _query(_breaching(known, column, by), meta, severity)
        case NoRows(query=query):
            return _query(query, meta, severity)
        case _:
            assert_never(known)


def breach(expected: Expectation) -> str | None:
    """SQL for "this row breaks it", braces doubled; None for what is not a matter of one row.

    The stock regular expression of Great Expectations refuses DuckDB ("not supported for dialect").
    """
    match expected:
        case Present(column=column):
            return f'"{column}" IS NULL'
        case OneOf(column=column, values=values):
            return f'"{column}" NOT IN ({", ".join(map(_literal, values))})'
        case Matches(column=column, pattern=pattern):
            # It searches, as JSON Schema patterns do.
            return f'NOT regexp_matches("{column}", {_literal(pattern)})'
        case HasLength(column=column, least=least, most=most):
            bounds = [f'length("{column}") {sign} {bound}' for sign, bound in (("<", least), (">", most)) if bound]
            return f"({' OR '.join(bounds)})"
        case AboveZero(column=column):
            return f'"{column}" <= 0'
        case NotAfter(column=column, other=other, seconds=seconds):
            # As numbers: comparing intervals takes four times as long.
            return f'epoch_us("{column}") > epoch_us("{other}") + {1_000_000 * seconds}'
        case AtMost(column=column, by=by, bounds=bounds, otherwise=otherwise):
            named = " ".join(f"WHEN {_literal(value)} THEN {bound}" for value, bound in bounds.items())
            bound = f'CASE "{by}" {named} ELSE {otherwise} END' if named else f"{otherwise}"
            return f'"{column}" > {bound}'
        case _:
            return None


def _breaching(expected: Expectation, *columns: str) -> str:
    """The values that break it. No other columns: reading all seventeen takes twice as long."""
    return f"SELECT {', '.join(map(_quoted, columns))} FROM {{batch}} WHERE {breach(expected)}"


def _quoted(column: str) -> str:
    return f'"{column}"'


def _query(query: str, meta: dict[str, str], severity: FailureSeverity) -> Great:
    return NoRowIsFound(unexpected_rows_query=query, meta=meta, severity=severity)


def _literal(text: str) -> str:
    return quote(text).replace("{", "{{").replace("}", "}}")
