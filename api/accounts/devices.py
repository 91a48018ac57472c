"""Keys by which devices and programs speak: `vt_<id>_<secret>`, shown once, hashed, scoped and revocable.

All keys are held in memory, so recognising one costs a hash and a dictionary look-up. What another process creates or
revokes is picked up by `refresh`.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.errors import Invalid, NotFound, StoreUnavailable, Unauthenticated
from api.accounts.models import DeviceRow
from api.accounts.people import checked_names
from api.accounts.rights import ALL_WARDS, SCOPES, Actor
from api.accounts.tokens import digest, new_id, new_token
from streams.clock import Clock

_ID = slice(3, 11)


@dataclass(frozen=True, slots=True)
class Device:
    """A device key as an administrator sees it; times in µs of the service's clock."""

    id: str
    name: str
    scopes: tuple[str, ...]
    wards: tuple[str, ...]
    patients: tuple[str, ...]
    second_source: bool
    created: int
    created_by: str
    revoked: int | None
    last_used: int | None


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A new key, the only time it is seen, and what is kept of it."""

    key: str
    device: Device


class Devices:
    """Creates, recognises and revokes keys; `ended` is called with a device's id when it is revoked."""

    def __init__(self, database: Database, clock: Clock, ended: Callable[[str], None]) -> None:
        self._database = database
        self._clock = clock
        self._ended = ended
        self._known: dict[str, tuple[bytes, Actor]] = {}
        self._used: dict[str, int] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Keys that are accepted."""
        return len(self._known)

    def authenticate(self, key: str | None) -> Actor:
        """Whose key this is; raises `Unauthenticated`. Touches nothing but memory."""
        if key is not None:
            known = self._known.get(key[_ID])
            if known is not None and hmac.compare_digest(known[0], digest(key)):
                self._used[known[1].key] = self._clock.now()
                return known[1]
        raise Unauthenticated("the device key is unknown or revoked")

    def current(self, device_id: str) -> Actor:
        """The device's actor; raises `Unauthenticated` once it is revoked."""
        known = self._known.get(device_id)
        if known is None:
            raise Unauthenticated("the device key is revoked")
        return known[1]

    async def list(self) -> list[Device]:
        """All keys, newest first, the revoked ones too."""
        devices = await self._database.read(
            lambda session: [
                _view(row)
                for row in session.scalars(select(DeviceRow).order_by(DeviceRow.created.desc(), DeviceRow.id))
            ]
        )
        return [self._with_last_use(device) for device in devices]

    async def create(
        self, name: str, scopes: Sequence[str], wards: Sequence[str], patients: Sequence[str], created_by: str,
        *, second_source: bool = False,
    ) -> DeviceKey:  # fmt: skip
        """Make a key; given neither wards nor patients it reaches all. Raises `Invalid`.

        Readings of a `second_source` are recorded as the second of their signal where there is one.
        """
        (name,) = checked_names("name", [name[:65].strip()])
        if len(name) > 64:
            raise Invalid("name", "at most 64 characters")
        if not scopes or not set(scopes) <= SCOPES.keys():
            raise Invalid("scopes", f"one or more of {', '.join(SCOPES)}")
        reach = checked_names("wards", wards), checked_names("patients", patients)
        device_id = new_id()
        key = f"vt_{device_id}_{new_token()}"
        row = DeviceRow(
            id=device_id,
            name=name,
            secret=digest(key).hex(),
            scopes=sorted(set(scopes)),
            wards=reach[0] or ([] if reach[1] else [ALL_WARDS]),
            patients=reach[1],
            second_source=second_source,
            created=self._clock.now(),
            created_by=created_by,
        )
        return DeviceKey(
            key, await self._database.write(lambda session: self._add(session, row), then=lambda _: self._learn(row))
        )

    async def revoke(self, device_id: str) -> Device:
        """Refuse a key from now on; raises `NotFound`. Revoking twice changes nothing."""

        def work(session: Session) -> Device:
            row = session.get(DeviceRow, device_id) if device_id.isprintable() else None
            if row is None:
                raise NotFound("there is no device of that id")
            row.revoked = row.revoked if row.revoked is not None else self._clock.now()
            return _view(row)

        return self._with_last_use(await self._database.write(work, then=lambda device: self._forget([device.id])))

    async def refresh(self) -> None:
        """Read all keys anew."""
        changes = self._changes
        known = await self._database.read(_read_known)
        with self._lock:
            if changes != self._changes:
                return  # one was made or revoked meanwhile, so what was read may be older; the next refresh will tell
            gone = self._known.keys() - known.keys()
            self._known = known
        for device_id in gone:
            self._ended(device_id)

    async def stamp(self) -> None:
        """Write when keys were last used; called no more than once a minute."""
        used, self._used = self._used, {}
        if not used:
            return
        stamps = [{"id": device_id, "last_used": time} for device_id, time in used.items()]
        try:
            await self._database.write(lambda session: session.execute(update(DeviceRow), stamps))
        except StoreUnavailable:
            self._used = used | self._used
            raise

    def _add(self, session: Session, row: DeviceRow) -> Device:
        session.add(row)
        session.flush()
        session.expunge(row)  # its values are still wanted after the commit, which would have them read again
        return _view(row)

    def _learn(self, row: DeviceRow) -> None:
        with self._lock:
            self._changes += 1
            self._known[row.id] = _known(row)

    def _forget(self, device_ids: Sequence[str]) -> None:
        with self._lock:
            self._changes += 1
            for device_id in device_ids:
                self._known.pop(device_id, None)
        for device_id in device_ids:
            self._ended(device_id)

    def _with_last_use(self, device: Device) -> Device:
        last_used = self._used.get(device.id, device.last_used)
        return device if last_used == device.last_used else replace(device, last_used=last_used)


def _read_known(session: Session) -> dict[str, tuple[bytes, Actor]]:
    return {row.id: _known(row) for row in session.scalars(select(DeviceRow).where(DeviceRow.revoked.is_(None)))}


def _known(row: DeviceRow) -> tuple[bytes, Actor]:
    actor = Actor(
        kind="device",
        name=row.name,
        wards=frozenset(row.wards),
        scopes=frozenset(row.scopes),
        patients=frozenset(row.patients),
        second_source=row.second_source,
        key=row.id,
    )
    return bytes.fromhex(row.secret), actor


def _view(row: DeviceRow) -> Device:
    return Device(
        row.id,
        row.name,
        tuple(row.scopes),
        tuple(row.wards),
        tuple(row.patients),
        row.second_source,
        row.created,
        row.created_by,
        row.revoked,
        row.last_used,
    )
