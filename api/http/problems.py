"""All error answers of the doors: one table of problems (RFC 9457), and the conversion of errors to problems.

``type`` of an answer is ``/problems/<slug>``; that address explains the problem and what to do about it.
"""

import re
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.accounts.errors import AccountsError, Invalid, StoreUnavailable, TooManyAttempts
from streams.errors import HistoryNotKept, HistoryUnavailable, LogUnavailable, Overloaded

__all__ = ["MEDIA_TYPE", "PROBLEMS", "Fault", "Problem", "ProblemType", "answer", "install", "unexpected"]

Turn = Callable[[Request, Exception], "Problem"]

MEDIA_TYPE = "application/problem+json"

_MOST_FAULTS = 100
_log = structlog.get_logger("vitaltwin.api")


class ProblemType(msgspec.Struct, frozen=True):
    """One row of the table; ``advice`` tells the caller what to do."""

    slug: str
    status: int
    title: str
    advice: str

    @property
    def address(self) -> str:
        """The address that explains the problem."""
        return f"/problems/{self.slug}"


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error in a request: the entry (``index``) or the ``field``, a ``reason`` code and a sentence."""

    reason: str
    detail: str
    index: int | None = None
    field: str | None = None


_TABLE = (
    ProblemType("bad-request", 400, "The request cannot be understood", "Read the detail and correct the request."),
    ProblemType(
        "malformed-body", 400, "The body cannot be read",
        "Nothing was accepted. Send the whole body again, in the format of its Content-Type.",
    ),
    ProblemType("bad-cursor", 400, "The cursor is not one of ours", "Start again without a cursor and follow Link."),
    ProblemType(
        "unauthenticated", 401, "Sign in first",
        "Open a one-time link, sign in with POST /v1/session, or send a device key as Authorization: Bearer.",
    ),
    ProblemType("invalid-credentials", 401, "Name and password do not belong together", "Check both and try again."),
    ProblemType("link-refused", 401, "The one-time link cannot be used", "It was used or has expired; ask for a new one."),
    ProblemType("forbidden", 403, "You may not do this here", "Ask an administrator for the right."),
    ProblemType(
        "foreign-origin", 403, "The request comes from another site",
        "With a cookie, requests that change something must have the Origin of this host.",
    ),
    ProblemType(
        "not-found", 404, "There is nothing here", "Check the address. What you may not see is answered in the same way."
    ),
    ProblemType("method-not-allowed", 405, "This method is not known here", "The Allow header names the allowed methods."),
    ProblemType("conflict", 409, "It conflicts with the present state", "Read the present state and decide again."),
    ProblemType("last-administrator", 409, "Somebody must administer", "Make another account an administrator first."),
    ProblemType(
        "signed-in-already", 409, "Somebody else is signed in here",
        "Sign them out first, or name them as `instead_of`: a link does not replace a session without consent.",
    ),
    ProblemType("alarm-over", 409, "The alarm is over", "There is nothing left to acknowledge."),
    ProblemType("discharged", 409, "The patient is discharged", "Admit the patient again first."),
    ProblemType(
        "request-timeout", 408, "The request did not come in time", "Send the whole request again, without pauses."
    ),
    ProblemType("address-too-long", 414, "The address is too long", "Request less at once."),
    ProblemType(
        "headers-too-large", 431, "The headers are too large", "Send fewer or shorter headers; a page may clear cookies."
    ),
    ProblemType(
        "too-many-connections", 503, "Too many connections are open", "Use one connection for many requests; try again."
    ),
    ProblemType("body-too-large", 413, "The body is too large", "Send smaller batches; the detail names the limit."),
    ProblemType(
        "unsupported-media-type", 415, "This type of body is not accepted here",
        "Send application/json, application/x-ndjson or application/vnd.vitaltwin.frame+msgpack, plain or gzip.",
    ),
    ProblemType(
        "misdirected", 421, "This host name is not allowed",
        "Use the address the service printed, or name the host in VITALTWIN_ALLOWED_HOSTS.",
    ),
    ProblemType("invalid", 422, "A value cannot be accepted", "The errors name each field and why."),
    ProblemType(
        "nothing-taken", 422, "No entry was accepted",
        "The errors name each entry and the reason; refused entries are stored as dead letters.",
    ),
    ProblemType("too-many-attempts", 429, "Too many attempts", "Wait as long as Retry-After says."),
    ProblemType("internal", 500, "Something went wrong here", "It is logged. Nothing that you sent was acknowledged."),
    ProblemType(
        "history-not-kept", 501, "No history is stored here",
        "This service stores only the present state; a retry does not help. An operator can configure a history store.",
    ),
    ProblemType("not-ready", 503, "The service is not ready", "Try again in a moment."),
    ProblemType("overloaded", 503, "Too much is waiting", "Nothing was stored. Wait as Retry-After says, then resend."),
    ProblemType("log-unavailable", 503, "Nothing can be stored now", "Nothing was stored. See /health/ready, then resend."),
    ProblemType(
        "store-unavailable", 503, "The accounts cannot be read or written",
        "Wait as Retry-After says and try again. If it does not help, check the accounts database; the log says more.",
    ),
    ProblemType(
        "audit-unavailable", 503, "The audit trail cannot be written",
        "Make sure that its database runs and has space, then try again.",
    ),
    ProblemType(
        "history-unavailable", 503, "The history cannot be read",
        "The present state is not affected. Try again in a moment; the detail names the store.",
    ),
    ProblemType("storage-full", 507, "The disk is full", "Nothing was stored. Free space on the disk, then resend."),
)  # fmt: skip

PROBLEMS: dict[str, ProblemType] = {kind.slug: kind for kind in _TABLE}

_BY_STATUS = {
    400: "malformed-body", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
    409: "conflict", 413: "body-too-large", 415: "unsupported-media-type", 422: "invalid", 503: "not-ready",
}  # fmt: skip


class Problem(Exception):
    """A door's error answer; ``extra`` members are added to the five of RFC 9457."""

    def __init__(
        self,
        slug: str,
        detail: str = "",
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = PROBLEMS[slug]
        super().__init__(detail or self.kind.title)
        self.detail = detail or self.kind.advice
        self.faults = faults
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


def answer(problem: Problem, instance: str = "") -> Response:
    """The problem as a response; ``instance`` is the requested path."""
    kind = problem.kind
    members: dict[str, Any] = {
        "type": kind.address,
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": instance,
        "errors": problem.faults,
        **problem.extra,
    }
    if kind.slug == "unauthenticated":
        problem.headers.setdefault("WWW-Authenticate", "Bearer")
    return Response(_encode(members), kind.status, problem.headers, MEDIA_TYPE)


def unexpected(error: Exception, method: str, path: str) -> Response:
    """The answer to an unexpected error: logged in full, answered without internal details."""
    text = "".join(traceback.format_exception(error))  # without the variables of frames, which may contain patient ids
    _log.error("unexpected_error", method=method, path=path, traceback=text)
    return answer(Problem("internal"), path)


def install(app: FastAPI) -> None:
    """Convert every error that can leave a door to a problem."""
    for kind, turn in _TURNS:
        app.add_exception_handler(kind, _handler(turn))


def _encode(members: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(members)
    except UnicodeEncodeError:  # the echo of a lone surrogate from the caller
        return msgspec.json.encode({**members, "detail": ascii(members["detail"]), "instance": "", "errors": []})


def _from_http(request: Request, error: Exception) -> Problem:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    slug = _BY_STATUS.get(error.status_code)
    if slug is None:
        slug = "internal" if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad-request"
    kind = PROBLEMS[slug]
    headers = dict(error.headers or {})
    if slug == "method-not-allowed":
        headers["Allow"] = ", ".join(_methods(request.app, request.url.path)) or headers.get("Allow", "GET")
    said = error.detail if error.detail != HTTPStatus(error.status_code).phrase else kind.advice
    return Problem(slug, said, headers=headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """All methods documented for an address: the router itself names only those of the first route."""
    found: set[str] = set()
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path):
            found |= {method.upper() for method in operations}
    return sorted(found)


def _from_validation(_: Request, error: Exception) -> Problem:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class
    found = error.errors()
    faults = [
        Fault(str(one["type"]), str(one["msg"]), field=".".join(str(part) for part in one["loc"]))
        for one in found[:_MOST_FAULTS]
    ]
    if any(one["type"] == "json_invalid" for one in found):
        return Problem("malformed-body", "the body is not JSON", faults=faults)
    return Problem("invalid", f"{len(found)} invalid value(s)", faults=faults)


def _from_accounts(_: Request, error: Exception) -> Problem:
    assert isinstance(error, AccountsError)  # noqa: S101 - registered for this class
    if isinstance(error, Invalid):
        return Problem("invalid", str(error), faults=[Fault("invalid", error.detail, field=error.field)])
    if isinstance(error, StoreUnavailable):
        # The database's message names its address and user. It goes to the log, not to a caller who may not be signed in.
        _log.warning("accounts_unavailable", reason=str(error))
        return Problem(error.slug, headers={"Retry-After": "5"})
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyAttempts) else None
    slug = error.slug if error.slug in PROBLEMS else "internal"
    return Problem(slug, "" if slug == "internal" else str(error), headers=headers)


def _from_overload(_: Request, error: Exception) -> Problem:
    assert isinstance(error, Overloaded)  # noqa: S101 - registered for this class
    return Problem("overloaded", str(error), headers={"Retry-After": str(max(1, round(error.retry_after_s)))})


def _from_log(_: Request, error: Exception) -> Problem:
    full = "full" in str(error).lower() or "no space" in str(error).lower()
    return Problem("storage-full" if full else "log-unavailable", str(error), headers={"Retry-After": "5"})


def _from_no_history(_: Request, error: Exception) -> Problem:
    return Problem("history-not-kept", str(error))


def _from_history(_: Request, error: Exception) -> Problem:
    return Problem("history-unavailable", str(error), headers={"Retry-After": "5"})


def _as_raised(_: Request, error: Exception) -> Problem:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class
    return error


_TURNS: tuple[tuple[type[Exception], Turn], ...] = (
    (Problem, _as_raised),
    (HTTPException, _from_http),
    (RequestValidationError, _from_validation),
    (AccountsError, _from_accounts),
    (Overloaded, _from_overload),
    (LogUnavailable, _from_log),
    (HistoryNotKept, _from_no_history),
    (HistoryUnavailable, _from_history),
)


def _handler(turn: Turn) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return answer(turn(request, error), request.url.path)

    return handle
