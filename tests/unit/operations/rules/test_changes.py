"""What is said of two rule books that differ."""

from pathlib import Path

import pytest

from operations.rules.changes import Change, changes_between
from streaming.rules.book import RuleBook, load_rules
from tests.config_copies import copy_of_config, replaced


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return copy_of_config(tmp_path) / "alerting-rules.yaml"


def edited(rules: Path, *edits: tuple[str, str]) -> RuleBook:
    for old, new in edits:
        replaced(rules, old, new)
    return load_rules(rules.parent)


def test_changes_between_equal_books_are_none(rules: Path) -> None:
    assert changes_between(load_rules(), edited(rules, ("rules:", "# another comment\nrules:"))) == ()


def test_changes_between_nothing_and_a_book_are_all_its_rules() -> None:
    changes = changes_between(None, load_rules())
    assert [(change.rule_id, change.what, change.after) for change in changes] == [
        ("high-value", "added", "1"),
        ("rapid-activity", "added", "1"),
        ("unusual-hour", "added", "1"),
    ]


def test_changes_between_names_the_value_before_and_after(rules: Path) -> None:
    after = edited(rules, ('USD: "5000.00"', 'USD: "4000.00"'), ('version: "1"', 'version: "2"'))
    assert changes_between(load_rules(), after) == (
        Change("high-value", "changed", "1", "2", ("thresholds.USD: 5000.00 -> 4000.00",)),
    )


def test_changes_between_rule_that_keeps_its_version_is_marked(rules: Path) -> None:
    (change,) = changes_between(load_rules(), edited(rules, ('USD: "5000.00"', 'USD: "4000.00"')))
    assert change.silent


def test_changes_between_a_hash_stands_for_the_version_is_never_silent(rules: Path) -> None:
    before = edited(rules, ('version: "1"\n', "\n"))
    (change,) = changes_between(before, edited(rules, ('USD: "5000.00"', 'USD: "4000.00"')))
    assert not change.silent
    assert change.before != change.after


def test_changes_between_disabled_rule_is_removed(rules: Path) -> None:
    (change,) = changes_between(load_rules(), edited(rules, ("enabled: true", "enabled: false")))
    assert (change.rule_id, change.what, change.before, change.after) == ("high-value", "removed", "1", None)


def test_changes_between_time_zone_changes_the_rule_that_uses_it(rules: Path) -> None:
    (change,) = changes_between(load_rules(), edited(rules, ("JP: Asia/Tokyo", "JP: Asia/Seoul")))
    assert (change.rule_id, change.details) == ("unusual-hour", ("zones.JP: Asia/Tokyo -> Asia/Seoul",))


def test_changes_between_version_alone_is_said(rules: Path) -> None:
    (change,) = changes_between(load_rules(), edited(rules, ('version: "1"', 'version: "7"')))
    assert (change.what, change.before, change.after, change.details) == ("version", "1", "7", ())
