"""A signed-in administrator of a running service, for commands that change what belongs to the whole site."""

import json
import os
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from api.cli.output import Failure

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["Administrator"]


class Administrator:
    """Requests to the service at ``url``, as ``account`` or as the first administrator of the service on this machine.

    With ``account``, the password comes from ``VITALTWIN_PASSWORD`` or the terminal. Without it, the accounts database is
    opened, and a one-time link signs in. A demo asks for nothing.
    """

    def __init__(self, url: str, account: str, settings: "Settings") -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(f"{url!r} is no http address")
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._cookie = ""
        if account:
            self._ask("POST", "/v1/session", {"name": account, "password": _password(account)})
        elif self._ask("GET", "/v1/session", may_fail=True) is None:
            self._ask("POST", f"/sign-in?token={quote(_link(settings))}")

    def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET."""
        return self._ask("GET", path) or {}

    def put(self, path: str, body: object) -> dict[str, Any]:
        """The answer to a PUT."""
        return self._ask("PUT", path, body) or {}

    def close(self) -> None:
        """Sign out."""
        if self._cookie:
            self._ask("DELETE", "/v1/session", may_fail=True)

    def _ask(self, method: str, path: str, body: object = None, *, may_fail: bool = False) -> dict[str, Any] | None:
        headers = {"Origin": self._origin}
        if self._cookie:
            headers["Cookie"] = self._cookie
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._kind(self._host, self._port, timeout=30.0)
        try:
            connection.request(method, self._path + path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, HTTPException) as error:
            raise Failure(f"{self._origin} does not answer: {error}; is the service running? See --url") from error
        finally:
            connection.close()
        cookies = [one.partition(";")[0] for one in response.headers.get_all("Set-Cookie") or []]
        self._cookie = "; ".join(cookies) if cookies else self._cookie
        answer = json.loads(raw) if raw[:1] in {b"{", b"["} else {}
        if response.status < 400:
            return answer if isinstance(answer, dict) else {}
        if may_fail:
            return None
        faults = "".join(f"\n  {one.get('field', '')}: {one['detail']}" for one in answer.get("errors", ()))
        raise Failure(f"the service answered {response.status}: {answer.get('detail') or response.reason}{faults}")


def _password(account: str) -> str:
    import getpass

    return os.environ.get("VITALTWIN_PASSWORD") or getpass.getpass(f"password of {account}: ")


def _link(settings: "Settings") -> str:
    """A one-time link of the first administrator of the service on this machine."""
    from api.cli.opened import done

    async def work(accounts: Any, by: Any) -> str:  # noqa: ANN401 - imported late
        admins = [one.name for one in await accounts.list_accounts(by) if one.role == "admin" and not one.disabled]
        if not admins:
            raise Failure("the service has no administrator; sign in there once, or name one with --account")
        token: str = await accounts.sign_in_link(by, min(admins))
        return token

    return done(settings, work)
