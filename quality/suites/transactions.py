"""What every row of `finance.transactions` must be: a projection of the transaction contract, and of exactly-once.

No field is named here unless the contract cannot say it: add a rule to the contract first.
"""

from great_expectations import ExpectationSuite
from great_expectations.expectations import core as gxe
from great_expectations.expectations.expectation import Expectation

from contracts import names, tables
from contracts.schema import Field, load_contract
from lake.duck import quote
from quality.outcome import Dimension

KEY = "transaction_id"
POSITION = ("kafka_partition", "kafka_offset")


def suite() -> ExpectationSuite:
    """The full suite. Each expectation's meta holds the `name` and `dimension` of its outcome."""
    return ExpectationSuite(
        name="transactions_contract",
        expectations=[
            *_complete(),
            *_unique(),
            *(rule for field in load_contract("transaction").fields for rule in _valid(field)),
        ],
    )


def _complete() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(column=column.name, meta=_meta(f"{column.name} is present", "completeness"))
        for column in tables.transactions().columns
        if not column.nullable
    ]


def _unique() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeUnique(column=KEY, meta=_meta(f"{KEY} is unique", "uniqueness")),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=list(POSITION), meta=_meta(f"({', '.join(POSITION)}) is unique", "uniqueness")
        ),
        # Of a refused record, one repair at most. Rows that repair none have NULL, which counts as nothing.
        gxe.ExpectColumnValuesToBeUnique(
            column=names.REPLAYED_FROM, meta=_meta(f"{names.REPLAYED_FROM} is unique", "uniqueness")
        ),
    ]


def _valid(field: Field) -> list[Expectation]:
    """What JSON Schema says of a field, as far as it still applies to the column's type."""
    column, rules = field.column, field.rules
    if field.type.startswith("decimal"):
        # The contract forbids zero by the pattern of the decimal string; the column is a number.
        meta = _meta(f"{column} is above zero", "validity")
        return [gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, strict_min=True, meta=meta)]
    if field.type != "string":
        return []
    found: list[Expectation] = []
    if "enum" in rules:
        meta = _meta(f"{column} is one of the {len(rules['enum'])} in the contract", "validity")
        found.append(gxe.ExpectColumnValuesToBeInSet(column=column, value_set=list(rules["enum"]), meta=meta))
    if "pattern" in rules:
        meta = _meta(f"{column} matches {rules['pattern']}", "validity")
        found.append(
            gxe.UnexpectedRowsExpectation(unexpected_rows_query=_mismatches(column, rules["pattern"]), meta=meta)
        )
    if "minLength" in rules or "maxLength" in rules:
        least, most = rules.get("minLength"), rules.get("maxLength")
        meta = _meta(f"{column} has {least or 0} to {most or 'any number of'} characters", "validity")
        found.append(gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=least, max_value=most, meta=meta))
    return found


def _mismatches(column: str, pattern: str) -> str:
    """Rows whose `column` breaks `pattern`. The stock regex expectation refuses DuckDB ("not supported for dialect").

    The query is a format string, hence the doubled braces. `regexp_matches` searches, as JSON Schema patterns do.
    """
    literal = quote(pattern).replace("{", "{{").replace("}", "}}")
    return f'SELECT * FROM {{batch}} WHERE NOT regexp_matches("{column}", {literal})'


def _meta(name: str, dimension: Dimension) -> dict[str, str]:
    return {"name": name, "dimension": dimension}
