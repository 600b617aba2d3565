"""One bucket, as each client of S3 is told of it."""

import pytest

from contracts import s3

OURS = {
    "AWS_ENDPOINT_URL_S3": "http://s3.example:9000",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "a-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OURS, "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_properties_of_another_server_name_its_endpoint_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    assert s3.pyiceberg_properties() == {"s3.region": "eu-central-1", "s3.endpoint": "http://s3.example:9000"}
    assert s3.flink_properties() == {
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "client.region": "eu-central-1",
        "s3.endpoint": "http://s3.example:9000",
        "s3.path-style-access": "true",
    }


def test_duckdb_secret_of_another_server_has_all_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OURS.items():
        monkeypatch.setenv(name, value)
    assert s3.duckdb_secret() == {
        "KEY_ID": "a-key", "SECRET": "a-secret", "REGION": "eu-central-1", "ENDPOINT": "s3.example:9000",
        "URL_STYLE": "path", "USE_SSL": "false",
    }  # fmt: skip


def test_properties_of_amazons_own_need_no_endpoint() -> None:
    assert s3.pyiceberg_properties() == {"s3.region": "us-east-1"}
    assert s3.duckdb_secret() == {"REGION": "us-east-1"}
    assert "s3.endpoint" not in s3.flink_properties()
