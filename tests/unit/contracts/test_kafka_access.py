"""One description of the brokers, as Python's client and Flink's take it."""

from pathlib import Path

import pytest

from contracts.errors import ConfigError
from contracts.kafka_access import KafkaAccess, password

SECURE = KafkaAccess("k:9093", "SASL_SSL", "SCRAM-SHA-512", "me")


def test_librdkafka_plain_broker_needs_its_address_alone() -> None:
    assert KafkaAccess("k:9092").librdkafka() == KafkaAccess("k:9092").flink() == {"bootstrap.servers": "k:9092"}


def test_librdkafka_login_takes_the_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "a secret")
    found = KafkaAccess("k:9093", "SASL_SSL", "SCRAM-SHA-512", "me", "/ca.pem").librdkafka()
    assert found == {
        "bootstrap.servers": "k:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "a secret",
        "ssl.ca.location": "/ca.pem",
    }


def test_kafka_python_takes_the_same_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "a secret")
    assert KafkaAccess("k:9093,l:9093", "SASL_SSL", "SCRAM-SHA-512", "me", "/ca.pem").kafka_python() == {
        "bootstrap_servers": ["k:9093", "l:9093"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "a secret",
        "ssl_cafile": "/ca.pem",
    }
    plain = KafkaAccess("k:9092").kafka_python()
    assert plain == {"bootstrap_servers": ["k:9092"], "security_protocol": "PLAINTEXT"}


def test_flink_login_names_the_variable_and_not_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "a secret")
    found = SECURE.flink()
    assert found["sasl.jaas.config"].endswith(
        'ScramLoginModule required username="me" password="${env:KAFKA_PASSWORD}";'
    )
    assert "a secret" not in str(found)


def test_flink_plain_mechanism_has_another_login_module() -> None:
    assert "PlainLoginModule" in KafkaAccess("k:9093", "SASL_PLAINTEXT", "PLAIN", "me").flink()["sasl.jaas.config"]


def test_flink_certificates_travel_with_the_job(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    found = KafkaAccess("k:9093", "SSL", ca_file=str(tmp_path / "ca.pem")).flink()
    assert (found["ssl.truststore.type"], found["ssl.truststore.certificates"]) == (
        "PEM",
        "-----BEGIN CERTIFICATE-----",
    )
    assert "sasl.jaas.config" not in found


def test_flink_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kafka.ca_file: .*ca.pem cannot be read"):
        KafkaAccess("k:9093", "SSL", ca_file=str(tmp_path / "ca.pem")).flink()


@pytest.mark.parametrize(("found", "complaint"), [("", "is not set"), ('a"b', "double quote"), ("a\\b", "backslash")])
def test_password_that_cannot_be_used_names_the_variable(
    found: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", found)
    with pytest.raises(ConfigError, match=f"environment variable KAFKA_PASSWORD: .*{complaint}"):
        password()


def test_from_environment_of_what_pipeline_env_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": "me"}.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "another:1")
    assert KafkaAccess.from_environment("k:9093") == SECURE


def test_from_environment_of_nothing_is_a_plain_broker() -> None:
    assert KafkaAccess.from_environment("k:9092") == KafkaAccess("k:9092")
