"""What a contract and a table's definition already say, as expectations: nothing is named here a second time."""

from contracts.schema import Field
from contracts.tables import Table
from quality.expectations import AboveZero, Expectation, HasLength, Matches, OneOf, Present

# RFC 9562, in the lower-case form that the format check of the contracts takes.
_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


def complete(table: Table) -> tuple[Expectation, ...]:
    """Every column that may not be null has a value."""
    return tuple(Present(column=column.name) for column in table.columns if not column.nullable)


def valid(field: Field) -> tuple[Expectation, ...]:
    """What JSON Schema says of a field, as far as it still applies to the column's type."""
    column, rules = field.column, field.rules
    if field.type.startswith("decimal"):
        # The contract forbids zero by the pattern of the decimal string; the column is a number.
        return (AboveZero(column=column),)
    if field.type != "string":
        return ()
    found: list[Expectation] = []
    if "enum" in rules:
        found.append(OneOf(column=column, values=tuple(rules["enum"])))
    if "pattern" in rules:
        found.append(Matches(column=column, pattern=rules["pattern"]))
    elif rules.get("format") == "uuid":
        found.append(Matches(column=column, pattern=_UUID))
    if "minLength" in rules or "maxLength" in rules:
        found.append(HasLength(column=column, least=rules.get("minLength"), most=rules.get("maxLength")))
    return tuple(found)
