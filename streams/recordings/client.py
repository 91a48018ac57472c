"""An HTTP client of a running service: one keep-alive connection, frames out, answers back."""

import http.client
import json
import ssl
from datetime import datetime
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from streams.errors import StreamsError

__all__ = ["Answer", "Away", "Door", "DoorRefused"]

FRAME_TYPE = "application/vnd.vitaltwin.frame+msgpack"
_AWAY = frozenset({429, 500, 502, 503, 504, 507})


class Away(StreamsError):
    """The service cannot answer now: down, starting, overloaded, or its disk is full. Try again after ``retry_after_s``."""

    def __init__(self, why: str, retry_after_s: float = 0.0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class DoorRefused(StreamsError):
    """The service refused the request; sending it again will not help."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the service answered {status}: {detail}")
        self.status = status


class Answer(msgspec.Struct, frozen=True):
    """What became of a frame: readings taken, readings refused, and reasons (not every refusal has one).

    ``again_s``: if new patients came faster than the key may admit them, send the frame again after this time.
    """

    taken: int
    refused: int
    reasons: dict[str, int]
    again_s: float = 0.0


class Door:
    """A client of the service at ``url``; ``key`` is a device key. Not thread-safe."""

    def __init__(self, url: str, key: str = "", timeout_s: float = 30.0) -> None:
        self.url: SplitResult = urlsplit(url if "://" in url else f"http://{url}")
        if self.url.scheme not in ("http", "https") or not self.url.hostname:
            raise ValueError(f"{url!r} is no http address")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def clock(self) -> tuple[int, float]:
        """The service's time, µs, and its speed relative to wall time; raises ``Away``, ``DoorRefused``."""
        _, answer, _ = self._ask("GET", "/v1/clock")
        try:
            moment = datetime.fromisoformat(answer["now"])
            return round(moment.timestamp() * 1e6), float(answer["speed"])
        except (KeyError, TypeError, ValueError) as error:
            raise DoorRefused(200, f"/v1/clock is not the answer of a vitaltwin service: {error}") from error

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path; raises ``Away``, ``DoorRefused``."""
        status, answer, _ = self._ask("GET", path)
        if status != 200:
            raise DoorRefused(status, _reason(answer))
        return answer

    def send(self, path: str, body: object) -> dict[str, Any]:
        """The JSON object that answers a JSON body; raises ``Away``, ``DoorRefused``."""
        status, answer, _ = self._ask("POST", path, json.dumps(body).encode(), "application/json")
        if status != 200:
            raise DoorRefused(status, _reason(answer))
        return answer

    def post(self, frame: bytes) -> Answer:
        """Send one frame; returns once the service has made it durable. Raises ``Away``, ``DoorRefused``."""
        status, answer, again_s = self._ask("POST", "/v1/observations", frame)
        if status not in (200, 422) or "taken" not in answer:
            raise DoorRefused(status, str(answer.get("detail") or answer.get("title") or "no reason given"))
        reasons: dict[str, int] = {}
        for error in answer.get("errors", ()):
            reasons[error["reason"]] = reasons.get(error["reason"], 0) + 1
        refused = int(answer["refused"])
        unnamed = refused - sum(reasons.values())
        if unnamed > 0:
            reasons["unnamed"] = unnamed
        return Answer(int(answer["taken"]), refused, reasons, again_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = FRAME_TYPE
    ) -> tuple[int, dict[str, Any], float]:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = kind
        try:
            response, raw = self._exchange(method, self.url.path.rstrip("/") + path, body, headers)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise DoorRefused(0, f"its certificate is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Away(str(error) or type(error).__name__) from error
        answer = _object(raw)
        if response.status in _AWAY:
            raise Away(f"{response.status} {answer.get('detail', response.reason)}", _seconds(response))
        if response.status >= 400 and response.status != 422:
            raise DoorRefused(response.status, str(answer.get("detail") or answer.get("title") or response.reason))
        return response.status, answer, _seconds(response)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request; a connection that the service closed because it was idle is opened again, once."""
        kept = self._connection is not None
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        except ConnectionError:
            self.close()
            if not kept:
                raise
            return self._exchange(method, path, body, headers)

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        return kind(str(self.url.hostname), self.url.port, timeout=self._timeout_s)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(answer: dict[str, Any]) -> str:
    """What a problem says, with the first field that is wrong."""
    said = str(answer.get("detail") or answer.get("title") or "no reason given")
    errors = answer.get("errors")
    if not isinstance(errors, list) or not errors or not isinstance(errors[0], dict):
        return said
    first = errors[0]
    detail = str(first.get("detail") or first.get("reason"))
    return f"{first.get('field', 'a value')}: {detail if detail not in said else said}"


def _seconds(response: http.client.HTTPResponse) -> float:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
