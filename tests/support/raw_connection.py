"""A very cheap client, so that the server is what is measured: a keep-alive socket and prepared bytes."""

import json
import socket
from typing import Any, Self

from api.cli.output import Failure

__all__ = ["RawConnection", "post"]


def post(path: str, kind: str, key: str, body: bytes) -> bytes:
    """A complete POST request as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Authorization: Bearer {key}\r\n\r\n".encode() + body


class RawConnection:
    """One keep-alive connection to a loopback port; requests one after the other."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def send(self, request: bytes) -> int:
        """Send a prepared request and read the answer; returns its status. Raises ``OSError`` if the connection breaks."""
        self._socket.sendall(request)
        return self._answer()[0]

    def exchange(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Any request; returns status, headers in lower case, body."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(content)}"]
        if body is not None:
            lines += ["Content-Type: application/json", f"Origin: http://127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + content)
        return self._answer()

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """A request without a body; returns status and body."""
        status, _, body = self.exchange(method, path)
        return status, body

    def json(self, method: str, path: str, body: object = None, cookie: str = "") -> dict[str, Any]:
        """A request of a signed-in person; raises ``Failure`` unless the answer is 2xx."""
        headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{self.port}"} if cookie else {}
        status, _, content = self.exchange(method, path, body, headers)
        if not 200 <= status < 300:
            raise Failure(f"{method} {path} was answered {status}: {content[:300].decode(errors='replace')}")
        answer: dict[str, Any] = json.loads(content) if content else {}
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _answer(self) -> tuple[int, dict[str, str], bytes]:
        received = self._rest
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        first, *lines = received[:end].decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in lines):
            headers.setdefault(name.lower(), value.strip())
        wanted = end + 4 + int(headers.get("content-length", "0"))
        while len(received) < wanted:
            received += self._more()
        self._rest = received[wanted:]
        return int(first.split(" ", 2)[1]), headers, received[end + 4 : wanted]

    def _more(self) -> bytes:
        part = self._socket.recv(65_536)
        if not part:
            raise ConnectionResetError("the service closed the connection")
        return part
