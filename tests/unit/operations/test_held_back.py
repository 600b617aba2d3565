"""Words of the status on an open transaction, by its age and by what the broker knows of it."""

from dataclasses import replace

from contracts import names
from contracts.kafka_access import KafkaAccess
from operations.health import Health
from operations.held_back import tell_of_transactions
from pipeline_assets.lib.open_transactions import OpenTransaction

KAFKA = KafkaAccess("k:9092")
YOUNG = OpenTransaction(names.RAW_TOPIC, 1, 4_711, 12.4, 3, 0, "theirs", 60.0)


def test_tell_of_transactions_none_open_is_nothing_to_tell() -> None:
    assert tell_of_transactions((), KAFKA) == ((), ())


def test_tell_of_transactions_one_that_the_broker_will_end_is_a_warning_with_the_time_left() -> None:
    assert tell_of_transactions([YOUNG], KAFKA) == (
        (),
        (
            "open transaction: at transactions.raw/1/4711, of the producer 3 (transactional id theirs), open for 12 s; "
            "nothing from there on is read before it ends. The broker ends it in 48 s, a producer that "
            "starts with the same transactional id at once",
        ),
    )


def test_tell_of_transactions_producer_that_the_broker_does_not_tell_leaves_the_place() -> None:
    unnamed = replace(YOUNG, producer_id=None, producer_epoch=None, transactional_id=None, timeout_seconds=None)
    _, (warning,) = tell_of_transactions([unnamed], KAFKA)
    assert "at transactions.raw/1/4711, of an unknown producer, open for 12 s" in warning
    assert warning.endswith("ends it after its transaction.max.timeout.ms at the latest")


def test_tell_of_transactions_older_than_a_minute_is_a_fault() -> None:
    (fault,), warnings = tell_of_transactions([replace(YOUNG, age_seconds=100.0, timeout_seconds=900.0)], KAFKA)
    assert (fault.health, warnings) == (Health.UNHEALTHY, ())
    assert "The broker ends it in 800 s" in fault.detail


def test_tell_of_transactions_one_that_nothing_ends_comes_with_the_command_that_does() -> None:
    hanging = replace(YOUNG, age_seconds=100.0, transactional_id=None, timeout_seconds=None)
    (fault,), _ = tell_of_transactions([hanging], KAFKA)
    assert fault.detail.endswith(
        "python -m kafka.admin -b k:9092 transactions abort -t transactions.raw -p 1 --producer-id 3 --producer-epoch 0"
    )
