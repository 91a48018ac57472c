"""`Accounts`: the only class through which doors use people, devices and the audit trail."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from api.accounts.audit import AuditEntry, AuditPage, AuditTrail
from api.accounts.browsers import Browsers
from api.accounts.credentials import Credentials
from api.accounts.database import Database
from api.accounts.devices import Device, DeviceKey, Devices
from api.accounts.errors import AccountsError, StoreUnavailable, TooManyAttempts, Unauthenticated
from api.accounts.notices import Notices
from api.accounts.passwords import Passwords
from api.accounts.people import Account, People, normal
from api.accounts.reach import Reach
from api.accounts.retention import Retention
from api.accounts.rights import DEMO, SYSTEM, Action, Actor, anonymous, require
from api.accounts.seal import BROWSERS, sealing_key
from api.accounts.sessions import Sessions, SignedIn
from api.accounts.throttle import Throttle, network
from api.accounts.tickets import Ticket, Tickets
from streams.clock import Clock
from streams.log.entries import NO_UNITS

_BEARER = "bearer "
REFRESH_S = 10
STAMP_EVERY = 6
PRUNE_EVERY = 360
"""Numbers of maintenance rounds, each `REFRESH_S` real seconds long."""
NOTICE_DAYS = 90
"""Notices are also transitions of their alarm in the history, which is kept longer."""
AUDIT_DAYS = 1096.0
"""Three years: long enough for late complaints."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Accounts:
    """People, devices, their rights and the audit trail, in one database.

    `clock` gives the time of events. `real` measures the lifetime of sessions, links and tickets, in seconds since 1970: a
    service clock at sixty times the speed must not end them sixty times sooner. Methods with a parameter `by` raise
    `Forbidden` unless that actor may do it, and record an audit entry in both cases. All methods that use the database can
    raise `StoreUnavailable`. Belongs to one event loop, from `open` to `close`.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        real: Callable[[], float] = time.time,  # noqa: TID251  see above
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
        audit_days: float = AUDIT_DAYS,
    ) -> None:
        passwords = passwords or Passwords()
        self._throttle = throttle or Throttle()
        self._browsers = Browsers()
        self._database = Database(url)
        self._tickets = Tickets(self._database, real)
        self._sessions = Sessions(self._database, clock, real, self._ended)
        self._devices = Devices(self._database, clock, self._ended)
        self._people = People(self._database, clock, self._sessions, passwords)
        self._credentials = Credentials(
            self._database,
            clock=clock,
            real=real,
            sessions=self._sessions,
            passwords=passwords,
            throttle=self._throttle,
            browsers=self._browsers,
        )
        self._audit = AuditTrail(self._database, clock)
        self._clock = clock
        self._retention = Retention(self._database, clock, audit_days)
        self._listeners: list[Callable[[str], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._upkeep: list[asyncio.Task[None]] = []
        self.reach = Reach(self._database)
        self.notices = Notices(self._database)
        self.sealing_key = b""

    async def open(self) -> bool:
        """Bring the tables up to date and start writing. If the log shares the file, open the log first.

        Returns whether tables were created or changed. `sealing_key` is available from here on.
        """
        self._loop = asyncio.get_running_loop()
        changed = await self._database.open()
        self.sealing_key = await sealing_key(self._database)
        self._browsers.key = await sealing_key(self._database, BROWSERS)
        await self._devices.refresh()
        self._audit.open()
        self._upkeep = [asyncio.create_task(work) for work in (self._keep_up(), self.reach.run())]
        return changed

    async def close(self) -> None:
        """Write what is still in memory, and close the database."""
        for work in self._upkeep:
            work.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        await self._audit.close()
        with contextlib.suppress(StoreUnavailable):
            await self._devices.stamp()
        await self._database.close()

    # --- authentication

    async def authenticate(self, token: str | None) -> Actor:
        """The owner of this session cookie; raises `Unauthenticated`."""
        return await self._sessions.authenticate(token)

    def authenticate_device(self, key: str | None) -> Actor:
        """The owner of this device key; raises `Unauthenticated`. Takes microseconds and no database access."""
        return self._devices.authenticate(key)

    def knows(self, authorization: str, token: str | None) -> bool:
        """Whether a request carries a valid device key or the cookie of a cached session."""
        if not authorization:
            return self._sessions.remembers(token)
        if authorization[: len(_BEARER)].lower() != _BEARER:
            return False
        with contextlib.suppress(Unauthenticated):
            self._devices.authenticate(authorization[len(_BEARER) :].strip())
            return True
        return False

    async def recognise_device(self, key: str | None) -> Actor:
        """Like `authenticate_device`, but also finds a key that another door has just created."""
        return await self._devices.recognise(key)

    async def recheck(self, actor: Actor) -> Actor:
        """The same actor with its present rights, for sockets that stay open.

        Raises `Unauthenticated` when its session or key has ended.
        """
        if actor.kind == "account":
            return await self._sessions.current(actor.key)
        if actor.kind == "device":
            return self._devices.current(actor.key)
        if actor.kind == "anonymous":
            raise Unauthenticated("sign in first")
        return actor

    def on_revoked(self, callback: Callable[[str], None]) -> None:
        """Call `callback` with an actor's key when its session or device key ends or its rights change."""
        self._listeners.append(callback)

    async def issue_ticket(self, actor: Actor) -> Ticket:
        """Return a ticket for a socket at any door, valid once, for 30 s, and no longer than the actor's session."""
        return await self._tickets.issue(actor)

    async def redeem_ticket(self, ticket: str) -> Actor:
        """The owner of this ticket, with present rights.

        Raises `Unauthenticated` if it is unknown, used or expired, or its session has ended.
        """
        return await self._tickets.redeem(ticket)

    @staticmethod
    def demo_actor() -> Actor:
        """The user of a demonstration.

        Everything is allowed: it is bound to loopback and has no real patients.
        """
        return DEMO

    @staticmethod
    def system_actor() -> Actor:
        """The command line on the service's own machine."""
        return SYSTEM

    # --- people

    async def first_start_link(self, *, beside_others: bool = False) -> str | None:
        """Return a one-time token that signs the first administrator in; with `beside_others`, links of other doors stay valid.

        None once an administrator with a password has signed in.
        """
        return await self._credentials.first_start_link(beside_others=beside_others)

    async def redeem_link(self, token: str, address: str = "", browser: str | None = None) -> SignedIn:
        """Begin a session by a one-time link; raises `LinkRefused` or `TooManyAttempts`."""
        return await self._signing_in("", "by link", address, lambda: self._credentials.redeem(token, address, browser))

    async def sign_in(self, name: str, password: str, address: str, browser: str | None = None) -> SignedIn:
        """Begin a session by name and password; `browser` is the browser's recognition cookie.

        Raises `InvalidCredentials` or `TooManyAttempts`.
        """
        return await self._signing_in(
            name, "by password", address, lambda: self._credentials.sign_in(name, password, address, browser)
        )

    async def sign_out(self, actor: Actor) -> None:
        """End the actor's session, its tickets and its sockets."""
        if actor.kind == "account":
            await self._sessions.end(actor.key)
            self.audit(actor, "session.end")

    async def change_password(self, actor: Actor, current: str, new: str) -> None:
        """Change one's own password and end one's other sessions.

        Raises `InvalidCredentials`, `TooManyAttempts` or `Invalid`.
        """
        try:
            await self._credentials.change_password(actor, current, new)
        except AccountsError as error:
            self._audit.refused(actor, "password.change", detail="own", outcome=error.slug)
            raise
        self.audit(actor, "password.change", detail="own")

    async def list_accounts(self, by: Actor) -> list[Account]:
        """All accounts by name."""
        require(by, Action.ACCOUNTS_MANAGE)
        return await self._people.list()

    async def names(self) -> list[Account]:
        """All accounts by name, for checks of who can be reached; no right is needed, so show only what follows from it."""
        return await self._people.list()

    async def create_account(
        self, by: Actor, name: str, role: str, *, wards: Sequence[str] = (), password: str | None = None
    ) -> Account:
        """Add an account. Without wards it sees no patient; `*` is all wards. Without a password it needs a `sign_in_link`.

        Raises `Invalid` or `Conflict`.
        """
        return await self._managed(
            by,
            Action.ACCOUNTS_MANAGE,
            f"create {name} as {role} for {', '.join(wards) or 'no ward'}",
            lambda: self._people.create(name, role, wards, password),
        )

    async def change_account(
        self,
        by: Actor,
        name: str,
        *,
        role: str | None = None,
        wards: Sequence[str] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
    ) -> Account:
        """Make all given changes at once, or none.

        Raises `NotFound`, `Invalid` or `LastAdministrator`. A new password or `disabled` ends the account's sessions.
        """
        changes = {"role": role, "wards": wards, "disabled": disabled, "password": password and "(new)"}
        detail = f"change {name}: " + ", ".join(
            f"{field} {value}" for field, value in changes.items() if value is not None
        )
        return await self._managed(
            by,
            Action.ACCOUNTS_MANAGE,
            detail,
            lambda: self._people.change(name, role=role, wards=wards, disabled=disabled, password=password),
        )

    async def set_password(self, by: Actor, name: str, password: str) -> None:
        """Give an account a password and end its sessions; raises `NotFound` or `Invalid`."""
        await self.change_account(by, name, password=password)

    async def sign_in_link(self, by: Actor, name: str) -> str:
        """Return a one-time token that signs this account in, valid one day; raises `NotFound`."""
        return await self._managed(
            by, Action.ACCOUNTS_MANAGE, f"sign-in link for {name}", lambda: self._credentials.link(name)
        )

    # --- devices

    async def list_devices(self, by: Actor) -> list[Device]:
        """All device keys, newest first, including revoked ones."""
        require(by, Action.DEVICES_MANAGE)
        return await self._devices.list()

    async def create_device(
        self,
        by: Actor,
        name: str,
        *,
        scopes: Sequence[str] = ("observations:write",),
        wards: Sequence[str] = (),
        patients: Sequence[str] = (),
        second_source: bool = False,
        may_admit: bool = False,
        units: Mapping[str, str] = NO_UNITS,
    ) -> DeviceKey:
        """Create a device key, shown only this once. It reaches the given wards (`*`: all) and patients. Raises `Invalid`."""
        what = f"create {name}{' as a second source' if second_source else ''} for {', '.join(scopes)}"
        what += f", wards {', '.join(wards) or 'none'}{', may admit' if may_admit else ''}"
        what += "".join(f", {signal} in {unit}" for signal, unit in units.items())
        return await self._managed(
            by,
            Action.DEVICES_MANAGE,
            what,
            lambda: self._devices.create(
                name, scopes, wards, patients, by.name, second_source=second_source, may_admit=may_admit, units=units
            ),
        )

    async def revoke_device(self, by: Actor, device_id: str) -> Device:
        """Refuse a key from this moment on; raises `NotFound`."""
        return await self._managed(
            by, Action.DEVICES_MANAGE, f"revoke {device_id}", lambda: self._devices.revoke(device_id)
        )

    # --- audit

    def audit(self, actor: Actor, action: str, patient: str = "", *, detail: str = "", outcome: str = "ok") -> None:
        """Record who read or changed what, without waiting.

        Raises `AuditUnavailable` when nothing could be written for too long.
        """
        self._audit.record(actor, action, patient, detail=detail, outcome=outcome)

    async def audit_page(
        self,
        by: Actor,
        cursor: str | None = None,
        *,
        limit: int = 100,
        patient: str | None = None,
        actor: str | None = None,
    ) -> AuditPage:
        """Some entries before the cursor, newest first; raises `Invalid` for an unreadable cursor."""
        require(by, Action.AUDIT_READ)
        return await self._audit.page(cursor, limit, patient, actor)

    async def audit_entries(
        self, by: Actor, *, since: int = 0, until: int | None = None, detail: str = ""
    ) -> AsyncIterator[list[AuditEntry]]:
        """All entries of a time range (µs of the service's clock), oldest first, in chunks. The export is recorded too.

        Raises `Forbidden` before the first entry.
        """
        require(by, Action.AUDIT_READ)
        self.audit(by, Action.AUDIT_READ, detail=f"export {detail}".strip())
        async for some in self._audit.entries(since, until):
            yield some

    async def prune_audit(self) -> int:
        """Delete the audit entries past their retention and return how many."""
        return await self._retention.prune()

    def counters(self) -> dict[str, int]:
        """Present figures and counts since the start, for metrics and health."""
        return {
            "devices": len(self._devices),
            "sessions_remembered": len(self._sessions),
            "audit_pending": self._audit.pending,
            "audit_written": self._audit.written,
            "reached": int(not self.reach.trouble),
        }

    # --- internal

    async def _signing_in(self, name: str, how: str, address: str, work: Callable[[], Awaitable[SignedIn]]) -> SignedIn:
        detail = f"{how} from {network(address)}" if address else how
        try:
            signed_in = await work()
        except AccountsError as error:
            who = anonymous("" if isinstance(error, TooManyAttempts) else normal(name))
            self._audit.refused(who, "session.begin", detail=detail, outcome=error.slug, place=network(address) or "-")
            raise
        self.audit(signed_in.actor, "session.begin", detail=detail)
        return signed_in

    async def _managed(self, by: Actor, action: Action, detail: str, work: Callable[[], Awaitable[T]]) -> T:
        try:
            require(by, action)
        except AccountsError as error:
            self._audit.refused(by, action, detail=detail, outcome=error.slug)
            raise
        try:
            answer = await work()
        except AccountsError as error:
            self.audit(by, action, detail=detail, outcome=error.slug)
            raise
        self.audit(by, action, detail=detail)
        return answer

    def _ended(self, key: str) -> None:
        """Notify the event loop, from any thread, before the waiting caller goes on."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, key)

    def _tell(self, key: str) -> None:
        for listener in self._listeners:
            listener(key)

    async def _keep_up(self) -> None:
        """Pick up changes of other processes, record the last use of keys, delete what has expired."""
        for count in itertools.count(1):
            await asyncio.sleep(REFRESH_S)
            try:
                await self._devices.refresh()
                self._audit.settle()
                self._throttle.sweep()
                if count % STAMP_EVERY == 0:
                    await self._devices.stamp()
                if count % PRUNE_EVERY == 1:
                    await self._sessions.prune()
                    await self.prune_audit()
                    await self.notices.prune(self._clock.now() - NOTICE_DAYS * 86_400_000_000)
            except StoreUnavailable as error:
                log.warning("accounts maintenance postponed", reason=str(error))
