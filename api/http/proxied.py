"""Reads the headers of a trusted proxy: the client's address, the scheme and the path prefix."""

from collections.abc import Collection, Sequence

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

__all__ = ["Proxied"]


class Proxied:
    """The outermost ASGI middleware: sets path, client and scheme as the inner layers expect them.

    X-Forwarded-For and X-Forwarded-Proto are used only from the addresses and networks in ``trusted``. If it is empty,
    they are never used, not even from loopback. ``prefix`` is removed from paths that begin with it (some proxies keep
    it), and added to the addresses in Link and Location. A path in ``own`` is one of a page's files, such as
    ``/ward/ward.js``: it stays as it is even if it begins with the prefix.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str], prefix: str, own: Collection[str] = ()) -> None:
        self._app: ASGIApp = ProxyHeadersMiddleware(app, list(trusted)) if trusted else app  # type: ignore[arg-type,assignment] # uvicorn's own types
        self._prefix = prefix
        self._own = frozenset(own)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if self._prefix and scope["type"] in {"http", "websocket"}:
            path: str = scope["path"]
            if (
                path == self._prefix and scope["type"] == "http"
            ):  # relative links of the page would lead outside the prefix
                await RedirectResponse(f"{path}/", 308)(scope, receive, send)
                return
            if path.startswith(f"{self._prefix}/") and path not in self._own:
                scope = {**scope, "path": path[len(self._prefix) :]}
                if raw := scope.get("raw_path"):
                    scope["raw_path"] = raw[len(self._prefix) :]
            await self._app(scope, receive, self._outside(send))
            return
        await self._app(scope, receive, send)

    def _outside(self, send: Send) -> Send:
        """Like ``send``, but adds the prefix to our own addresses in headers."""
        prefix = self._prefix.encode()

        async def carry(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, _seen(name, value, prefix)) for name, value in message.get("headers", ())]
            await send(message)

        return carry


def _seen(name: bytes, value: bytes, prefix: bytes) -> bytes:
    """A header as clients outside the proxy need it.

    >>> _seen(b"location", b"/v1/patients/p1", b"/vt"), _seen(b"link", b'</v1/audit?cursor=x>; rel="next"', b"/vt")
    (b'/vt/v1/patients/p1', b'</vt/v1/audit?cursor=x>; rel="next"')
    """
    if name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//"):
        return prefix + value
    return value.replace(b"</", b"<" + prefix + b"/") if name.lower() == b"link" else value
