"""Clients of the parts' HTTP interfaces: loopback is asked without a proxy, HTTPS with certificates."""

import http.server
import ssl
import threading
from collections.abc import Iterator

import httpx
import pytest

from contracts.rest import is_loopback, rest_client


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server on loopback that answers every GET with 200."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("all_proxy", "socks://127.0.0.1:1"),
        ("http_proxy", "not a proxy"),
    ],
)
def test_rest_client_of_loopback_beside_a_proxy_reaches_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with rest_client(url, timeout=5) as client:
        assert client.get("/").status_code == 200


def test_rest_client_of_another_machine_asks_the_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with rest_client("http://flink.example:8081", timeout=5) as client:
        assert client.get("/").status_code == 200, "the proxy answers for it"


def test_rest_client_of_https_refuses_an_unknown_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(httpx, "Client", lambda **options: made.append(options["verify"]))
    rest_client("https://127.0.0.1:1", timeout=1)
    rest_client("http://127.0.0.1:1", timeout=1)
    https, http_ = made
    assert https is True, "the system's certificates are needed"
    assert isinstance(http_, ssl.SSLContext)
    assert (http_.verify_mode, http_.cert_store_stats()["x509"]) == (ssl.CERT_REQUIRED, 0)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost:1/x", True),
        ("http://flink.example", False),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
        ("nonsense", False),
    ],
)
def test_is_loopback_tells_this_machine_from_others(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
