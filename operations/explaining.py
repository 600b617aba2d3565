"""Why an alert was raised: its rule as it was then, what was compared, and the transactions that bear on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from contracts.addresses import Addresses
from contracts.errors import QueryError
from lake.duck import connect_to
from lake.locations import metadata_locations
from streaming.deployments import Deployments
from streaming.rules.base import Rule
from streaming.rules.identity import SCHEME

# Shorter beginnings of an id would fit many alerts.
_SHORTEST = 6
_IDS = "transaction_ids"


@dataclass(frozen=True)
class Explanation:
    """One alert, explained.

    `alert` and `transaction` are rows of their tables by column, `contributing` those of the other transactions that
    the evidence names. `rule` is the rule's configuration in the deployment of that number; None, as `holds` and
    `words`, where this state folder never ran it. `holds` tells whether the evidence alone leads to the verdict again.
    """

    alert: dict[str, Any]
    transaction: dict[str, Any] | None
    contributing: tuple[dict[str, Any], ...]
    deployment: int | None
    rule: dict[str, Any] | None
    holds: bool | None
    words: str | None


def explain(addresses: Addresses, deployments: Deployments, alert_id: str) -> Explanation:
    """Return the explanation of the alert `alert_id`, or of the only one whose id begins with it.

    That takes six hexadecimal digits or more; the scheme in front of them may be left out.

    Raises QueryError for an id that is none, that no alert has, or that several begin with; NotRunning before the first
    tables.
    """
    if not re.fullmatch(f"({SCHEME})?[0-9a-f]{{{_SHORTEST},64}}", alert_id):
        raise QueryError(
            f"{alert_id!r} is no alert id: give its 64 hexadecimal digits, or the first {_SHORTEST} or more, with or "
            f"without {SCHEME} in front. "
            'See them: pipeline query "select alert_id, rule_id from alerts"'
        )
    with connect_to(metadata_locations(addresses), addresses.iceberg_warehouse) as connection:
        return _explain(connection, deployments, alert_id)


def _explain(connection: duckdb.DuckDBPyConnection, deployments: Deployments, alert_id: str) -> Explanation:
    beginning = alert_id.removeprefix(SCHEME)
    sql = "SELECT * FROM alerts WHERE starts_with(alert_id, ?) OR starts_with(alert_id, ?) LIMIT 2"
    alerts = _rows(connection, sql, alert_id, f"{SCHEME}{beginning}")
    if not alerts:
        raise QueryError(
            f"no alert has an id that begins with {alert_id} in the table alerts; one is stored some seconds after it "
            "was raised"
        )
    if len(alerts) > 1:
        raise QueryError(f"more than one alert has an id that begins with {alert_id}: give more of it")
    (alert,) = alerts
    position = (alert["source_partition"], alert["source_offset"])
    own = _rows(connection, "SELECT * FROM transactions WHERE kafka_partition = ? AND kafka_offset = ?", *position)
    evidence: Mapping[str, str] = alert["evidence"]
    others = [name for name in evidence.get(_IDS, "").split() if name != alert["transaction_id"]]
    contributing = _rows(
        connection,
        "SELECT * FROM transactions WHERE account_id = ? AND list_contains(?, transaction_id) ORDER BY event_time",
        alert["account_id"],
        others,
    )
    number, rule = _rule(deployments, alert["rule_id"], alert["rule_version"])
    judged = rule.judged(evidence) if rule else None
    return Explanation(
        alert=alert,
        transaction=own[0] if own else None,
        contributing=tuple(contributing),
        deployment=number,
        rule=rule.model_dump(mode="json", exclude_none=True) if rule else None,
        holds=judged.holds if judged else None,
        words=judged.words if judged else None,
    )


def _rule(deployments: Deployments, rule_id: str, version: str) -> tuple[int | None, Rule | None]:
    for deployment in reversed(deployments.all()):
        if deployment.rules.get(rule_id) == version:
            book = deployments.book(deployment)
            return deployment.number, next(rule for rule in book.rules if rule.id == rule_id)
    return None, None


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[dict[str, Any]]:
    answer = connection.execute(sql, list(values))
    columns = [column[0] for column in answer.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]
