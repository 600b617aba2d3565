"""What putting one rule book in the place of another would change. Pure."""

from dataclasses import dataclass
from typing import Any

from streaming.rules.base import Rule
from streaming.rules.book import RuleBook


@dataclass(frozen=True)
class Change:
    """One rule that appears, disappears or changes. `details` are its values before and after, by dotted name.

    `silent` marks a changed rule that still has its version: its alerts could not be told from those before.
    """

    rule_id: str
    what: str
    before: str | None
    after: str | None
    details: tuple[str, ...] = ()
    silent: bool = False


def changes_between(before: RuleBook | None, after: RuleBook) -> tuple[Change, ...]:
    """Those of the enabled rules, in the order of the book `after`, then what it leaves out."""
    old = {rule.id: rule for rule in before.in_force} if before else {}
    new = {rule.id: rule for rule in after.in_force}
    found = [change for rule in new.values() if (change := _change(old.get(rule.id), rule))]
    gone = [Change(rule.id, "removed", rule.rule_version, None) for rule in old.values() if rule.id not in new]
    return (*found, *gone)


def _change(before: Rule | None, after: Rule) -> Change | None:
    if before is None:
        return Change(after.id, "added", None, after.rule_version)
    versions = before.rule_version, after.rule_version
    if before.content() == after.content():
        return Change(after.id, "version", *versions) if versions[0] != versions[1] else None
    old, new = _flat(before.content()), _flat(after.content())
    details = tuple(
        f"{name}: {old.get(name, '-')} -> {new.get(name, '-')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )
    return Change(after.id, "changed", *versions, details, silent=versions[0] == versions[1])


def _flat(content: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(content, dict):
        found: dict[str, str] = {}
        for name, value in content.items():
            found |= _flat(value, f"{prefix}.{name}" if prefix else name)
        return found
    if isinstance(content, list):
        return {prefix: ", ".join(map(str, content)) or "-"}
    return {prefix: str(content)}
