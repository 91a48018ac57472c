"""The outermost layer: allowed host names, headers of every response, and an answer to every error."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import Problem, answer, unexpected
from streams.log.identity import composed

__all__ = ["Guard", "is_loopback", "same_origin"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_ALWAYS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_PRIVATE = [*_ALWAYS, (b"cache-control", b"no-store")]
_REMEMBERED = 256


def is_loopback(address: str) -> bool:
    """Whether a host name or address always means this machine.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if address in LOOPBACK:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; empty when it is malformed.

    >>> host_name("LocalHost:8000"), host_name("[::1]:8000")
    ('localhost', '::1')
    """
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the same host (and port) as the request.

    >>> same_origin("http://127.0.0.1:8000", "127.0.0.1:8000"), same_origin("null", "127.0.0.1:8000")
    (True, False)
    """
    scheme, separator, place = origin.partition("://")
    return bool(separator) and scheme in {"http", "https"} and place.lower() == host.lower()


class Guard:
    """ASGI middleware. Bound to loopback, it answers only loopback names and ``allowed``: against DNS rebinding."""

    def __init__(self, app: ASGIApp, bind: str, allowed: Iterable[str]) -> None:
        self._app = app
        names = {name.lower() for name in allowed}
        self._open = not names and not is_loopback(bind)
        self._names = names | LOOPBACK | {bind.lower()}
        self._known: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        if not self._ours(scope):
            await self._refuse(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        path = scope["path"] = composed(scope["path"])  # it may contain a patient's id
        private = path.startswith(("/v1/", "/sign-in", "/problems/", "/health", "/metrics"))
        carried = _PRIVATE if private else _ALWAYS

        async def carry(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *carried]
            await send(message)

        try:
            await self._app(scope, receive, carry)
        except ClientDisconnect:
            return
        except Exception as error:
            response = unexpected(error, scope["method"], path)
            if begun:
                raise
            await response(scope, receive, carry)

    def _ours(self, scope: Scope) -> bool:
        if self._open:
            return True
        for name, value in scope["headers"]:
            if name == b"host":
                return value in self._known or self._look(value)
        return False

    def _look(self, value: bytes) -> bool:
        if host_name(value.decode("latin-1")) not in self._names:
            return False
        if len(self._known) < _REMEMBERED:
            self._known.add(value)
        return True

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
            return
        await answer(Problem("misdirected"), scope["path"])(scope, receive, send)
