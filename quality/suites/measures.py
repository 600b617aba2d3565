"""Expectations of a table as a whole: how soon its rows came, and what its values are distributed like."""

from collections.abc import Iterator

from lake.sql import quote
from quality.expectations import Expectation, NoRows
from quality.settings import Accuracy, Timeliness

_NEWEST_DAY = "kafka_timestamp > (SELECT max(kafka_timestamp) FROM {batch}) - INTERVAL 1 DAY"


def timely(settings: Timeliness) -> tuple[Expectation, ...]:
    """The rows of the newest day were written soon after their Kafka records. A late row is a right one: a warning."""
    # As numbers: comparing intervals takes four times as long.
    elapsed_us = "epoch_us(processed_at) - epoch_us(kafka_timestamp)"
    in_time = f"avg(CASE WHEN {elapsed_us} <= {1_000_000 * settings.seconds} THEN 1 ELSE 0 END)"
    p95 = f"quantile_cont({elapsed_us}, 0.95) / 1000"
    return (
        NoRows(
            dimension="timeliness",
            critical=False,
            said=f"{100 * settings.share:g} % of the newest day's rows are written within {settings.seconds} s",
            query=f"SELECT share FROM (SELECT {in_time} AS share FROM {{batch}} WHERE {_NEWEST_DAY}) "
            f"WHERE share < {settings.share}",
        ),
        NoRows(
            dimension="timeliness",
            critical=False,
            said=f"the 95th percentile of the newest day's rows is written within {settings.seconds} s",
            query=f"SELECT p95_ms FROM (SELECT {p95} AS p95_ms FROM {{batch}} WHERE {_NEWEST_DAY}) "
            f"WHERE p95_ms > {1000 * settings.seconds}",
        ),
    )


def distributed(settings: Accuracy) -> Iterator[Expectation]:
    """Each configured column has about the shares it should have: by total variation, half the sum of differences."""
    for column, expected in settings.distributions.items():
        shares = ", ".join(f"({quote(value)}, {share})" for value, share in expected.shares.items())
        found = f'SELECT "{column}" AS value, count(*) / sum(count(*)) OVER () AS share FROM {{batch}} GROUP BY 1'
        distance = "sum(abs(coalesce(found.share, 0) - coalesce(expected.share, 0))) / 2"
        yield NoRows(
            dimension="accuracy",
            critical=False,
            said=f"the values of {column} are distributed as configured",
            query=f"SELECT distance FROM (SELECT {distance} AS distance FROM (VALUES {shares}) expected(value, share) "
            f"FULL JOIN ({found}) found USING (value)) WHERE distance > {expected.tolerance} "
            f"AND (SELECT count(*) FROM {{batch}}) >= {settings.rows_at_least}",
        )
