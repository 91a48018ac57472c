"""The errors of people, devices and their rights, as one small tree.

AccountsError
├── Unauthenticated      no valid session, key or ticket
│   ├── InvalidCredentials   name and password do not belong together
│   └── LinkRefused          one-time link unknown, used or expired
├── Forbidden            known, but without the right
├── NotFound             no such account or device
├── Conflict             the name is taken
│   └── LastAdministrator    would leave the service without an administrator
├── Invalid              a value cannot be accepted (`field` says which)
├── TooManyAttempts      sign-in is throttled (`retry_after` seconds)
└── StoreUnavailable     the database did not answer or could not be written
    └── AuditUnavailable     the audit trail has not been written for too long

`status` is the HTTP status and `slug` the name of the problem type a door answers with.
"""

from __future__ import annotations

from typing import ClassVar


class AccountsError(Exception):
    """The base of all errors of this package; the text may be shown to the caller."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"


class Unauthenticated(AccountsError):
    """The request has no valid session, key or ticket."""

    status = 401
    slug = "unauthenticated"


class InvalidCredentials(Unauthenticated):
    """Name or password is wrong; it does not say which, on purpose."""

    slug = "invalid-credentials"


class LinkRefused(Unauthenticated):
    """The one-time link is unknown, was used before, or has expired."""

    slug = "link-refused"


class Forbidden(AccountsError):
    """The actor is known and may not do this here."""

    status = 403
    slug = "forbidden"


class NotFound(AccountsError):
    """There is no account or device of that name."""

    status = 404
    slug = "not-found"


class Conflict(AccountsError):
    """The name is taken."""

    status = 409
    slug = "conflict"


class LastAdministrator(Conflict):
    """The change would leave the service without an administrator."""

    slug = "last-administrator"


class Invalid(AccountsError):
    """A value cannot be accepted: `field` is its name, `detail` the reason."""

    status = 422
    slug = "invalid"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class TooManyAttempts(AccountsError):
    """Too many sign-in attempts; worth trying again after `retry_after` seconds."""

    status = 429
    slug = "too-many-attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many sign-in attempts, try again in {retry_after} s")
        self.retry_after = retry_after


class StoreUnavailable(AccountsError):
    """The accounts database is locked, full, read-only or gone."""

    status = 503
    slug = "store-unavailable"


class AuditUnavailable(StoreUnavailable):
    """Too many audit entries could not be written, so requests that need one are refused."""

    slug = "audit-unavailable"
