"""XML-RPC over a Unix socket: how one talks to supervisord. Its own client module would import its whole parser."""

import http.client
import socket
import xmlrpc.client


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


class UnixTransport(xmlrpc.client.Transport):
    """A transport for `xmlrpc.client.ServerProxy` that speaks to the socket at a path."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> _UnixConnection:
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # what the transport closes in the end
        return connection
