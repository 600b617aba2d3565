"""Both jobs as golden files: every statement and option that Flink is given. And what makes two plans the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from contracts.addresses import Addresses
from contracts.errors import ConfigError
from contracts.paths import StatePaths
from contracts.settings import Flink
from streaming.deployments import Begin
from streaming.jobs.alerting import alerting_job
from streaming.jobs.lakehouse import lakehouse_job
from streaming.jobs.plan import JobPlan, placed
from streaming.rules.book import load_rules
from tests.config_copies import replaced
from tests.conftest import Golden

FLINK = Flink()


def as_text(plan: JobPlan) -> str:
    statements = (*plan.definitions, *plan.inserts)
    options = "\n".join(f"-- {key}: {value}" for key, value in plan.options.items())
    return "\n\n".join([f"-- job {plan.name}\n{options}", *(f"{statement};" for statement in statements)]) + "\n"


def both(addresses: Addresses, config: Path | None = None, flink: Flink = FLINK) -> tuple[JobPlan, JobPlan]:
    return alerting_job(addresses, flink, load_rules(config)), lakehouse_job(addresses, flink)


def fingerprints(state: str, *, port: int = 9092, flink: Flink = FLINK, config: Path | None = None) -> list[str]:
    paths = StatePaths(Path(state))
    addresses = Addresses.local(state=paths, kafka_port=port, flink_rest_port=port + 1, dagster_port=port + 2)
    return [plan.fingerprint for plan in both(addresses, config, flink)]


def test_alerting_job_plan_is_the_golden(addresses: Addresses, golden: Golden) -> None:
    golden("flink/alerting.sql", as_text(both(addresses)[0]))


def test_lakehouse_job_plan_is_the_golden(addresses: Addresses, golden: Golden) -> None:
    golden("flink/lakehouse.sql", as_text(both(addresses)[1]))


def test_job_settings_reach_the_options(addresses: Addresses) -> None:
    flink = Flink(
        alerting_parallelism=3, lakehouse_parallelism=4, alerting_checkpoint_ms=700, lakehouse_checkpoint_ms=9000,
        buffer_timeout_ms=17, state_hours=5,
    )  # fmt: skip
    alerting, lakehouse = both(addresses, flink=flink)
    assert [plan.options["parallelism.default"] for plan in (alerting, lakehouse)] == ["3", "4"]
    assert [plan.options["execution.checkpointing.interval"] for plan in (alerting, lakehouse)] == ["700 ms", "9000 ms"]
    assert alerting.options["execution.buffer-timeout.interval"] == "17 ms"
    for plan in (alerting, lakehouse):
        assert plan.options["table.exec.state.ttl"] == "5 h"


@pytest.mark.parametrize("state", ["/elsewhere", "/data/lake", "/src/fraud-lakehouse/.pipeline", "/a folder/alerts"])
def test_fingerprint_same_plan_in_another_place_is_the_same(state: str) -> None:
    assert fingerprints(state, port=19092) == fingerprints("/state")


def test_fingerprint_of_the_two_jobs_differs() -> None:
    alerting, lakehouse = fingerprints("/state")
    assert alerting != lakehouse


def test_fingerprint_other_parallelism_and_times_is_the_same() -> None:
    flink = Flink(alerting_parallelism=8, lakehouse_parallelism=8, lakehouse_checkpoint_ms=60_000)
    assert fingerprints("/state", flink=flink) == fingerprints("/state")


@pytest.mark.parametrize(
    ("old", "new"),
    [('USD: "5000.00"', 'USD: "5000.01"'), ("enabled: true", "enabled: false"), ("count: 5", "count: 6")],
)
def test_fingerprint_other_rule_differs_for_alerting_alone(config: Path, old: str, new: str) -> None:
    before = fingerprints("/state", config=config)
    replaced(config / "alerting-rules.yaml", old, new)
    after = fingerprints("/state", config=config)
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_placed_other_statement_has_another_fingerprint(addresses: Addresses) -> None:
    _, plan = both(addresses)
    fewer = placed(lambda at: replace(both(at)[1], inserts=plan.inserts[:-1]), addresses)
    assert plan.fingerprint != fewer.fingerprint


def test_fingerprint_other_brokers_and_another_catalog_is_the_same(addresses: Addresses) -> None:
    elsewhere = replace(
        addresses, kafka_bootstrap_servers="a:1,b:2", kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="PLAIN", kafka_username="u", iceberg_catalog_uri="postgresql://u@h:5432/lake",
    )  # fmt: skip
    assert [plan.fingerprint for plan in both(elsewhere)] == [plan.fingerprint for plan in both(addresses)]


def test_lakehouse_job_elsewhere_is_the_golden_and_holds_no_password(
    addresses: Addresses, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("KAFKA_PASSWORD", "a secret")
    monkeypatch.setenv("PGPASSWORD", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example:9000")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    elsewhere = replace(
        addresses, kafka_bootstrap_servers="kafka.example:9093", kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512", kafka_username="pipeline", kafka_ca_file=str(tmp_path / "ca.pem"),
        iceberg_catalog_uri="postgresql://lake@db.example:5432/lake?sslmode=require",
        iceberg_warehouse="s3://bucket/lake",
    )  # fmt: skip
    text = as_text(both(elsewhere)[1])
    golden("flink/lakehouse_elsewhere.sql", text)
    assert "a secret" not in text


def test_alerting_job_of_a_deployment_reads_earlier_than_it_judges(addresses: Addresses, golden: Golden) -> None:
    begin = Begin(read_from={0: 100, 1: 200}, judge_from={0: 150, 1: 200})
    golden("flink/alerting_deployed.sql", as_text(alerting_job(addresses, FLINK, load_rules(), begin)))


def test_fingerprint_of_another_beginning_is_another(addresses: Addresses) -> None:
    """A book that is deployed again must not go on from the state of its former deployment."""
    prints = {
        alerting_job(addresses, FLINK, load_rules(), Begin(read_from={0: n}, judge_from={0: n})).fingerprint
        for n in range(3)
    }
    assert len(prints) == 3


def test_alerting_job_rule_that_outlasts_the_state_is_refused(addresses: Addresses, config: Path) -> None:
    replaced(config / "alerting-rules.yaml", "window_seconds: 60", "window_seconds: 43201")
    with pytest.raises(ConfigError, match=r"flink.state_hours: .* after 24 h .* looks back 43201 s"):
        alerting_job(addresses, FLINK, load_rules(config))
