"""A PostgreSQL database's address, `postgresql://user@host:5432/database`, as each kind of client spells it.

No password stands in it. Clients in Python find it in `PGPASSWORD` or the file `PGPASSFILE`; Java's driver knows the
file only, so where there is just the variable, one is written: `password_file`.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

_SCHEME = "postgresql"
_PORT = 5432
_USE = f"expected {_SCHEME}://user@host:{_PORT}/database"


def is_postgres(uri: str) -> bool:
    """Whether `uri` is such an address."""
    return uri.startswith(f"{_SCHEME}:")


def checked(uri: str) -> str:
    """`uri`, which is such an address or nothing. Raises ValueError for anything else, and for one with a password."""
    if not uri:
        return uri
    parts = urlsplit(uri)
    try:
        complete = (
            parts.scheme == _SCHEME and parts.hostname and parts.username and parts.path.strip("/") and parts.port
        )
    except ValueError:
        complete = False
    if parts.password:
        raise ValueError(f"holds a password; {_USE}, and give the password by the variable PGPASSWORD")
    if not complete:
        raise ValueError(_USE)
    return uri


def sqlalchemy_url(uri: str) -> str:
    """For SQLAlchemy: with the driver named, whose default has changed between versions."""
    return uri.replace(f"{_SCHEME}:", f"{_SCHEME}+psycopg2:", 1)


def jdbc_url(uri: str) -> str:
    """For Java."""
    parts = urlsplit(uri)
    host = f"{parts.hostname}:{parts.port or _PORT}"
    options = f"&{parts.query}" if parts.query else ""  # both drivers know sslmode
    return f"jdbc:{_SCHEME}://{host}{parts.path}?user={quote(unquote(parts.username or ''))}{options}"


def password_file(folder: Path) -> dict[str, str]:
    """What a process's environment needs for Java's driver: `PGPASSFILE`, made in `folder` of `PGPASSWORD` where that
    alone is set, readable by its owner only.
    """
    password = os.environ.get("PGPASSWORD", "")
    if os.environ.get("PGPASSFILE") or not password:
        return {}
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    path = folder / "pgpass"
    draft = folder / f"pgpass.{os.getpid()}"  # containers that share the folder write it at once
    with open(draft, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(f"*:*:*:*:{escaped}\n")
    draft.replace(path)
    return {"PGPASSFILE": str(path)}
