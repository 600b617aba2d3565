"""Whether a job can go on from state that was written under other contracts.

Flink finds an operator's state by its place in the plan, and a field that is added changes no place. So a contract may
gain optional fields, and rules may become looser; what would make rows that are there wrong, or a column another, is
refused.
"""

from pathlib import Path
from typing import Any

from contracts.errors import ConfigError
from contracts.paths import contracts_folder
from contracts.schema import Contract, Field, load_contract
from streaming.checkpoints import code_hash, newest_restore_point, recorded_contracts

_WORDS = frozenset({"description", "title", "$comment"})
_REMOVABLE = frozenset({"pattern", "format", "enum", "minLength", "maxLength"})


def contracts_have_grown(checkpoints: Path, job: str, fingerprint: str) -> bool:
    """Whether the contracts differ from those that the plan with `fingerprint` was made of, and its state fits still.

    False where they are the same, or were not recorded, or where the code that makes plans is another: then something
    else has changed. Raises ConfigError, naming the field and both its rules, for a change that the state and the
    tables cannot follow.
    """
    recorded = recorded_contracts(checkpoints, job, fingerprint)
    if recorded is None:
        return False
    present = [load_contract(former.name) for former in recorded.contracts]
    for former, now in zip(recorded.contracts, present, strict=True):
        _refuse_breaking(former, now)
    grown = any(_meaning(former) != _meaning(now) for former, now in zip(recorded.contracts, present, strict=True))
    return grown and recorded.code == code_hash()


def refuse_breaking_contracts(checkpoints: Path, job: str) -> None:
    """Raises ConfigError for contracts that the newest state of `job` and the tables cannot follow."""
    if point := newest_restore_point(checkpoints, job):
        contracts_have_grown(checkpoints, job, point.fingerprint)


def _meaning(contract: Contract) -> object:
    return contract.limits, [(field.name, field.required, _rules(field)) for field in contract.fields]


def _refuse_breaking(former: Contract, now: Contract) -> None:
    fields = {field.name: field for field in now.fields}
    for was in former.fields:
        if was.name not in fields:
            raise _refusal(now, was.name, was, None, "is no longer in the contract")
        if not _as_loose(was, fields[was.name]):
            raise _refusal(now, was.name, was, fields[was.name], "has other rules")
    known = [field.name for field in former.fields]
    for field in now.fields:
        if field.required and field.name not in known:
            raise _refusal(now, field.name, None, field, "is new and required, and rows that are there have no value")
    kept = [field.name for field in now.fields if field.name in known]
    for place, (name, other) in enumerate(zip(known, kept, strict=True)):
        if name != other:
            raise _refusal(now, other, former.fields[place], fields[other], f"stands where {name} was")


def _as_loose(was: Field, now: Field) -> bool:
    """Whether every value that `was` allowed is allowed now, in the same column."""
    if (was.column, was.type, was.required) != (now.column, now.type, now.required):
        return False
    before, after = _rules(was), _rules(now)
    if before == after:
        return True
    # A column that is no text is cast of the text that the rules let through.
    if was.type != "string" or not before.keys() - after.keys() <= _REMOVABLE or after.keys() - before.keys():
        return False
    return all(_looser(rule, before[rule], value) for rule, value in after.items())


def _looser(rule: str, was: Any, now: Any) -> bool:
    match rule:
        case "enum":
            return all(value in now for value in was)
        case "minLength":
            return bool(now <= was)
        case "maxLength":
            return bool(now >= was)
        case "pattern":  # an alternative more
            return bool(now == was or now.startswith(f"{was}|"))
        case _:
            return bool(now == was)


def _rules(field: Field) -> dict[str, Any]:
    return {rule: value for rule, value in field.rules.items() if rule not in _WORDS}


def _refusal(contract: Contract, name: str, was: Field | None, now: Field | None, reason: str) -> ConfigError:
    return ConfigError(
        contracts_folder() / f"{contract.name}.schema.json",
        f"this field {reason}, which neither the jobs' state nor the tables can follow. Before: {_words(was)}; now: "
        f"{_words(now)}. Only optional fields can be added and rules loosened. Put the former contract back, or begin "
        "afresh: pipeline reset",
        path=f"properties.{name}",
    )


def _words(field: Field | None) -> str:
    if field is None:
        return "none"
    rules = str(_rules(field))
    shown = rules if len(rules) <= 200 else f"{rules[:200]}..."
    return f"{'required' if field.required else 'optional'} {shown}"
