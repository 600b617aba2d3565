"""The identity of an alert: which hits are one alert, however often and by whichever job they are found.

An alert's id is a hash of the rule, its version and everything that the transaction says, its transaction_id among it.
A record that is sent twice keeps its alert, and two payments that share one transaction_id have one each. The position
in Kafka is no part of it, and neither is the moment of detection.
"""

from contracts.schema import Field, load_contract
from streaming.validation import quote

# Leads every id and tells what it is a hash of. An id without a scheme, of version 0.1, is the SHA-256 of rule, version
# and transaction_id alone.
SCHEME = "2-"


def alert_id(rule_id: str, rule_version: str) -> str:
    """Write SQL for the id of an alert of that rule, over the columns of a valid transaction."""
    content = "\n  || ".join(map(_member, load_contract("transaction").fields))
    return f"{quote(SCHEME)} || SHA256({quote(f'{rule_id}{chr(10)}{rule_version}{chr(10)}')}\n  || {content})"


def _member(field: Field) -> str:
    """Write SQL for the field's part of the content, `name=length:value;`; nothing for a value that is not there.

    The length, in characters, keeps a value from being read as two members. An optional field that a later contract
    adds changes no id of a record without it.
    """
    value = _text(field)
    member = f"{quote(f'{field.column}=')} || CAST(CHAR_LENGTH({value}) AS STRING) || ':' || {value} || ';'"
    return f"COALESCE({member}, '')"


def _text(field: Field) -> str:
    """Write SQL for the value as text: two spellings of one value are one text."""
    column = f"`{field.column}`"
    match field.type:
        case "string":
            return column
        case "timestamptz":  # with milliseconds; the session's time zone is UTC
            return f"CAST(CAST({column} AS TIMESTAMP(3)) AS STRING)"
        case _:
            return f"CAST({column} AS STRING)"
