"""Which table has which suite."""

from collections.abc import Callable, Mapping

from contracts import names
from quality.expectations import Suite
from quality.settings import QualitySettings
from quality.suites import alerts, dead_letters, transactions

SUITES: Mapping[str, Callable[[QualitySettings], Suite]] = {
    names.TRANSACTIONS: transactions.suite,
    names.DEAD_LETTERS: dead_letters.suite,
    names.ALERTS: alerts.suite,
}
