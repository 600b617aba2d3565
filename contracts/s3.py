"""A warehouse in a bucket of S3, or of a server that speaks its protocol: `s3://bucket/path`, as each client spells it.

Keys, region and endpoint come from the variables that every client of S3 knows: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL_S3. The keys reach no plan of Flink's: its
processes need the same variables.
"""

import os
from urllib.parse import urlsplit

_SCHEME = "s3://"
_REGION = "us-east-1"


def is_s3(location: str) -> bool:
    """Whether a warehouse, or a file of it, lies in a bucket."""
    return location.startswith(_SCHEME)


def _endpoint() -> str:
    """Of another server than Amazon's; nothing for that."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _region() -> str:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or _REGION


def pyiceberg_properties() -> dict[str, str]:
    """Properties of the catalog in Python. Arrow takes the keys from the environment itself."""
    endpoint = {"s3.endpoint": _endpoint()} if _endpoint() else {}
    return {"s3.region": _region(), **endpoint}


def flink_properties() -> dict[str, str]:
    """Properties of the catalog in Flink."""
    # The bucket in the path and not in the host's name, which other servers have no names for.
    endpoint = {"s3.endpoint": _endpoint(), "s3.path-style-access": "true"} if _endpoint() else {}
    return {"io-impl": "org.apache.iceberg.aws.s3.S3FileIO", "client.region": _region(), **endpoint}


def duckdb_secret() -> dict[str, str]:
    """What a secret of DuckDB's is made of, each value as text."""
    found = {
        "KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", ""),
        "SECRET": os.environ.get("AWS_SECRET_ACCESS_KEY", ""),
        "SESSION_TOKEN": os.environ.get("AWS_SESSION_TOKEN", ""),
        "REGION": _region(),
    }
    if endpoint := _endpoint():
        parts = urlsplit(endpoint)
        found |= {"ENDPOINT": parts.netloc, "URL_STYLE": "path", "USE_SSL": str(parts.scheme == "https").lower()}
    return {name: value for name, value in found.items() if value}
