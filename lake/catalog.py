"""Opens the Iceberg catalog that Flink and Python share.

It is a PostgreSQL database or one SQLite file. Write-ahead logging is a property of that file, so setting it once
serves Flink's JDBC catalog too: readers then never block the committing job.
"""

import sqlite3
from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy.engine import make_url

from contracts.addresses import Addresses
from contracts.postgres import sqlalchemy_url
from contracts.s3 import is_s3, pyiceberg_properties


def open_catalog(addresses: Addresses) -> SqlCatalog:
    """The catalog at `addresses`; its SQLite file and folders are made where they are missing."""
    uri = sqlalchemy_url(addresses.iceberg_catalog_uri)
    _prepare(uri)
    # Pinged: a server may have been started anew since a connection was last used.
    properties = {"uri": uri, "warehouse": addresses.iceberg_warehouse, "pool_pre_ping": "true"}
    if is_s3(addresses.iceberg_warehouse):
        properties |= pyiceberg_properties()
    return SqlCatalog(addresses.iceberg_catalog_name, **properties)


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
