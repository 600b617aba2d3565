"""Opens the Iceberg catalog that Flink and Python share.

The embedded catalog is one SQLite file. Write-ahead logging is a property of that file, so setting it once
serves Flink's JDBC catalog too: readers then never block the committing job.
"""

import sqlite3
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy.engine import make_url

from contracts.addresses import Addresses


def open_catalog(addresses: Addresses) -> SqlCatalog:
    """The catalog at `addresses`; its SQLite file and folders are made where they are missing."""
    _prepare(addresses.iceberg_catalog_uri)
    return SqlCatalog(
        addresses.iceberg_catalog_name, uri=addresses.iceberg_catalog_uri, warehouse=addresses.iceberg_warehouse
    )


def _prepare(uri: str) -> None:
    url = make_url(uri)
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    path = Path(url.database)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
