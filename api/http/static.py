"""The pages: static files, read once and served with their type and an ETag."""

import gzip
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

__all__ = ["Page", "pages"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
_SQUEEZED = 1400
_INCLUDE = re.compile(rb"<!-- include (\S+) -->\n")


class Page:
    """One file under one address; browsers cache it and ask whether it has changed.

    In an HTML file, the line ``<!-- include shared/head.part -->`` is replaced by that file's text (path relative to it).
    """

    def __init__(self, path: Path) -> None:
        self._plain = path.read_bytes()
        if path.suffix == ".html":
            self._plain = _INCLUDE.sub(lambda line: (path.parent / line[1].decode()).read_bytes(), self._plain)
        self._squeezed = gzip.compress(self._plain, 6, mtime=0) if len(self._plain) > _SQUEEZED else b""
        self._headers = {
            "ETag": f'"{hashlib.sha256(self._plain).hexdigest()[:20]}"',
            "Cache-Control": "no-cache",
            "Content-Type": _TYPES[path.suffix],
            "Vary": "Accept-Encoding",
        }

    async def __call__(self, request: Request) -> Response:
        """The file, or 304 if the browser has it already."""
        headers = self._headers
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if self._squeezed and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self._squeezed, headers={**headers, "Content-Encoding": "gzip"})
        return Response(self._plain, headers=headers)


def pages(directory: Path, prefix: str = "") -> list[Route]:
    """A route for each file of a directory; ``index.html`` answers for the directory.

    With a ``prefix`` it does so only at the address without a final slash, because its relative links start there.
    """
    routes = []
    for path in sorted(directory.rglob("*")):
        if path.suffix not in _TYPES or not path.is_file():
            continue
        page = Page(path)
        address = f"{prefix}/{path.relative_to(directory).as_posix()}"
        if path.name != "index.html":
            routes.append(_route(address, page))
        elif prefix:
            routes.append(_route(prefix, page))
            routes.append(Route(f"{prefix}/", _without_slash, methods=["GET"], include_in_schema=False))
        else:
            routes += [_route(address, page), _route("/", page)]
    return routes


async def _without_slash(request: Request) -> Response:
    return RedirectResponse(
        f"../{request.url.path.strip('/').rpartition('/')[2]}", 308
    )  # relative, so that a path prefix stays


def _route(address: str, page: Page) -> Route:
    async def serve(request: Request) -> Response:
        return await page(request)

    return Route(address, serve, methods=["GET"], include_in_schema=False, name=address)
