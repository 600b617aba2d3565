"""One address of a database, as each client spells it. Of real ones: tests/integration/test_elsewhere.py."""

from pathlib import Path

import pytest

from contracts import postgres

ADDRESS = "postgresql://me@db.example:5433/lake"


def test_jdbc_url_has_the_user_and_what_both_drivers_know() -> None:
    assert postgres.jdbc_url(ADDRESS) == "jdbc:postgresql://db.example:5433/lake?user=me"
    assert postgres.jdbc_url(f"{ADDRESS}?sslmode=require").endswith("?user=me&sslmode=require")


def test_sqlalchemy_url_names_the_driver_and_leaves_a_file_as_it_is() -> None:
    assert postgres.sqlalchemy_url(ADDRESS) == "postgresql+psycopg2://me@db.example:5433/lake"
    assert postgres.sqlalchemy_url("sqlite:////x.db") == "sqlite:////x.db"


def test_password_file_of_the_variable_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("PGPASSWORD", "a:b\\c")
    found = postgres.password_file(tmp_path)
    path = Path(found["PGPASSFILE"])
    assert path.read_text() == "*:*:*:*:a\\:b\\\\c\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("variables", [{}, {"PGPASSWORD": "a", "PGPASSFILE": "/of/the/user"}])
def test_password_file_where_none_is_needed_makes_none(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert postgres.password_file(tmp_path) == {}
    assert not list(tmp_path.iterdir())
