"""The mixture of the chaos test: the same from one seed, with every kind soon, and fates that the stream explains."""

from itertools import islice

from contracts import names
from streaming.alerts_in import read_alert
from streaming.explain import Explanation, breach_of
from tests.chaos_kinds import NOWHERE, REFUSED, STORED, Foreign
from tests.chaos_records import flood, mixture, of_transactions

_COUNT = 3_000


def test_mixture_of_one_seed_is_the_same_and_of_another_is_different() -> None:
    assert list(islice(mixture(1), 300)) == list(islice(mixture(1), 300))
    assert list(islice(mixture(1), 300)) != list(islice(mixture(2), 300))


def test_mixture_every_kind_is_among_the_first_records() -> None:
    early = {record.kind for record in islice(mixture(1), 60)}
    later = {record.kind for record in islice(mixture(1), _COUNT)}
    # An alert that keeps the contract is one draw in seven.
    assert later - early <= {"forged alert", "forged alert again"}


def test_fates_of_every_record_are_those_that_the_stream_explains() -> None:
    """Of a record that is no JSON at all, too many brackets may be found first."""
    records = [*islice(mixture(1), _COUNT), *islice(flood(1), 100), *islice(of_transactions(1), 100)]
    for record in records:
        if record.fate in (NOWHERE, REFUSED):
            continue
        found = _explained(record) or STORED
        assert found == record.fate or (record.fate, found) == ("malformed_json", "too_large"), record


def _explained(record: Foreign) -> str | None:
    if record.topic == names.ALERT_TOPIC:
        return Explanation(*read_alert(record.value)[-len(Explanation._fields) :]).reason_code
    breach = breach_of(record.value, "transaction")
    return breach and breach.reason_code
