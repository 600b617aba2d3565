"""Opens the Iceberg catalog that Flink and Python share.

It is a PostgreSQL database or one SQLite file. Write-ahead logging is a property of that file, so setting it once
serves Flink's JDBC catalog too: readers then never block the committing job.
"""

import sqlite3
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import ValidationError
from pyiceberg.table import Table
from pyiceberg.typedef import Identifier
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from contracts.addresses import Addresses
from contracts.postgres import sqlalchemy_url
from contracts.s3 import is_s3, pyiceberg_properties
from lake.catalog_file import metadata_damaged


class LakeCatalog(SqlCatalog):
    """A catalog that names the metadata file which it cannot read."""

    def load_table(self, identifier: str | Identifier) -> Table:
        """Return the table as it is now. Raises NoSuchTableError, TableDamaged."""
        try:
            return super().load_table(identifier)
        except (ValueError, ValidationError, OSError) as error:  # not of a table; not there, or not to be read
            name = ".".join(Catalog.identifier_to_tuple(identifier))
            raise metadata_damaged(name, self._location(identifier), error) from error

    def _location(self, identifier: str | Identifier) -> str:
        with Session(self.engine) as session:
            found = session.scalar(
                select(IcebergTables.metadata_location).where(
                    IcebergTables.catalog_name == self.name,
                    IcebergTables.table_namespace == Catalog.namespace_to_string(Catalog.namespace_from(identifier)),
                    IcebergTables.table_name == Catalog.table_name_from(identifier),
                )
            )
        return str(found)


def open_catalog(addresses: Addresses) -> LakeCatalog:
    """Return the catalog at `addresses`; its SQLite file and folders are made if they are missing."""
    uri = sqlalchemy_url(addresses.iceberg_catalog_uri)
    _prepare(uri)
    # Pinged: a server may have been started anew since a connection was last used.
    properties = {"uri": uri, "warehouse": addresses.iceberg_warehouse, "pool_pre_ping": "true"}
    if is_s3(addresses.iceberg_warehouse):
        properties |= pyiceberg_properties()
    return LakeCatalog(addresses.iceberg_catalog_name, **properties)


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
