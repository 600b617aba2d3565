"""Opens clients for the HTTP interfaces of the pipeline's parts: Flink's, Dagster's.

A part on loopback is asked directly. A proxy that the environment names is for other machines, and would answer that
the part is dead. Plain HTTP needs no certificates either; reading them takes 60 ms of processor time per client.
"""

import ipaddress
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

import httpx


def is_loopback(url: str) -> bool:
    """Tell whether the host of `url` is this machine's loopback interface."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def rest_client(url: str, *, timeout: float) -> httpx.Client:
    """Open a client for the interface at `url`, which waits `timeout` seconds for each answer.

    Raises httpx.InvalidURL if `url` is not one.
    """
    # Without certificates of its own, this context trusts no server: a redirection to HTTPS ends in an error.
    verify: ssl.SSLContext | bool = True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(base_url=url, timeout=timeout, trust_env=not is_loopback(url), verify=verify)
