"""Tells of transactions that hold readers back, in the status: whose they are, for how long, and what ends them.

Our broker ends each within a minute (`transaction.max.timeout.ms`). Until then it is a warning; one that is older is a
fault, since nothing behind it is read.
"""

from collections.abc import Iterable

from contracts.kafka_access import KafkaAccess
from operations.health import Component, Health
from pipeline_assets.lib.open_transactions import OpenTransaction

NAME = "open transaction"
# A minute, and what the broker takes to look for it and to write its end.
_PROMISED_SECONDS = 75.0


def tell_of_transactions(
    found: Iterable[OpenTransaction], kafka: KafkaAccess
) -> tuple[tuple[Component, ...], tuple[str, ...]]:
    """Return the faults and the warnings that `found`, open transactions of the brokers at `kafka`, give rise to."""
    faults, warnings = [], []
    for one in found:
        words = f"{one}; nothing from there on is read before it ends. {_end_of(one, kafka)}"
        if one.age_seconds > _PROMISED_SECONDS:
            faults.append(Component(NAME, Health.UNHEALTHY, words))
        else:
            warnings.append(f"{NAME}: {words}")
    return tuple(faults), tuple(warnings)


def _end_of(one: OpenTransaction, kafka: KafkaAccess) -> str:
    """Say what ends it."""
    if one.timeout_seconds is not None:
        left = max(0.0, one.timeout_seconds - one.age_seconds)
        return f"The broker ends it in {left:.0f} s, a producer that starts with the same transactional id at once"
    if one.producer_id is None:
        return "The broker does not tell whose it is, and ends it after its transaction.max.timeout.ms at the latest"
    return (
        "The broker knows of it no longer and does not end it; this does: python -m kafka.admin "
        f"-b {kafka} transactions abort -t {one.topic} -p {one.partition} --producer-id {one.producer_id} "
        f"--producer-epoch {one.producer_epoch}"
    )
