"""Keys of devices and programs: `vt_<id>_<secret>`, shown once, hashed, scoped and revocable.

All keys are in memory, so recognising one costs a hash and a dictionary look-up, and works while the database is
unreachable. `refresh` picks up the keys that another process has revoked. A key that another process has created is
found at its first use.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.errors import Invalid, NotFound, StoreUnavailable, Unauthenticated
from api.accounts.models import DeviceRow
from api.accounts.people import checked_names, checked_wards
from api.accounts.rights import SCOPES, Actor
from api.accounts.tokens import TOKEN_LENGTH, digest, new_id, new_token
from streams.clock import Clock
from streams.log.entries import NO_UNITS, quoted
from twins.signals import BY_NAME
from twins.units import accepted, examples

LOOK_AGAIN_S = 1.0
"""An unknown key makes the service read all keys again, but not more often than this: a guess must not cost a query."""

_ID = slice(3, 11)
_LENGTH = 12 + TOKEN_LENGTH


@dataclass(frozen=True, slots=True)
class Device:
    """A device key as an administrator sees it; times in µs of the service's clock."""

    id: str
    name: str
    scopes: tuple[str, ...]
    wards: tuple[str, ...]
    patients: tuple[str, ...]
    second_source: bool
    may_admit: bool
    units: dict[str, str]
    created: int
    created_by: str
    revoked: int | None
    last_used: int | None


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A new key, shown only this once, and the stored device."""

    key: str
    device: Device


class Devices:
    """Creates, recognises and revokes keys. `ended` is called with a device's id when its key is revoked."""

    def __init__(self, database: Database, clock: Clock, ended: Callable[[str], None]) -> None:
        self._database = database
        self._clock = clock
        self._ended = ended
        self._known: dict[str, tuple[bytes, Actor]] = {}
        self._used: dict[str, int] = {}
        self._changes = 0
        self._lock = threading.Lock()
        self._looking = asyncio.Lock()
        self._looked = -LOOK_AGAIN_S

    def __len__(self) -> int:
        """The number of accepted keys."""
        return len(self._known)

    def authenticate(self, key: str | None) -> Actor:
        """The owner of this key; raises `Unauthenticated`. Uses only memory."""
        if key is not None:
            known = self._known.get(key[_ID])
            if known is not None and hmac.compare_digest(known[0], digest(key)):
                self._used[known[1].key] = self._clock.now()
                return known[1]
        raise Unauthenticated("the device key is unknown or revoked")

    async def recognise(self, key: str | None) -> Actor:
        """Like `authenticate`, but looks for an unknown key in the database, where another door may have created it."""
        try:
            return self.authenticate(key)
        except Unauthenticated:
            if key is None or len(key) != _LENGTH or not key.startswith("vt_") or key[_ID] in self._known:
                raise
        async with self._looking:
            if time.monotonic() - self._looked >= LOOK_AGAIN_S:
                await self.refresh()
                self._looked = time.monotonic()
        return self.authenticate(key)

    def current(self, device_id: str) -> Actor:
        """The device's actor; raises `Unauthenticated` once it is revoked."""
        known = self._known.get(device_id)
        if known is None:
            raise Unauthenticated("the device key is revoked")
        return known[1]

    async def list(self) -> list[Device]:
        """All keys, newest first, including revoked ones."""
        devices = await self._database.read(
            lambda session: [
                _view(row)
                for row in session.scalars(select(DeviceRow).order_by(DeviceRow.created.desc(), DeviceRow.id))
            ]
        )
        return [self._with_last_use(device) for device in devices]

    async def create(
        self, name: str, scopes: Sequence[str], wards: Sequence[str], patients: Sequence[str], created_by: str,
        *, second_source: bool = False, may_admit: bool = False, units: Mapping[str, str] = NO_UNITS,
    ) -> DeviceKey:  # fmt: skip
        """Create a key. Without wards and patients it reaches no patient; `*` is all wards. Raises `Invalid`.

        Readings of a `second_source` are recorded under the second signal of the same quantity, if there is one. With
        `may_admit` the first reading of an unknown patient admits the patient. `units` maps a signal to the unit of
        readings without a unit.
        """
        (name,) = checked_names("name", [name[:65].strip()])
        if len(name) > 64:
            raise Invalid("name", "at most 64 characters")
        if not scopes or not set(scopes) <= SCOPES.keys():
            raise Invalid("scopes", f"one or more of {', '.join(SCOPES)}")
        reach = checked_wards(wards), checked_names("patients", patients)
        device_id = new_id()
        key = f"vt_{device_id}_{new_token()}"
        row = DeviceRow(
            id=device_id,
            name=name,
            secret=digest(key).hex(),
            scopes=sorted(set(scopes)),
            wards=reach[0],
            patients=reach[1],
            second_source=second_source,
            may_admit=may_admit,
            units=_checked_units(units),
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
        """Read all keys again."""
        changes = self._changes
        known = await self._database.read(_read_known)
        with self._lock:
            if changes != self._changes:
                return  # a key was created or revoked meanwhile, so this result may be older; the next refresh is right
            gone = self._known.keys() - known.keys()
            self._known = known
        for device_id in gone:
            self._ended(device_id)

    async def stamp(self) -> None:
        """Write when keys were last used; called no more than once a minute."""
        used, self._used = self._used, {}
        if not used:
            return
        stamps = [{"device": device_id, "used": time} for device_id, time in used.items()]
        try:
            await self._database.write(lambda session: session.connection().execute(_STAMP, stamps))
        except StoreUnavailable:
            self._used = used | self._used
            raise

    def _add(self, session: Session, row: DeviceRow) -> Device:
        session.add(row)
        session.flush()
        session.expunge(row)  # the values are needed after the commit, which would read them again
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
        used = self._used.get(device.id, 0)
        return device if used <= (device.last_used or 0) else replace(device, last_used=used)


_TABLE = DeviceRow.__table__.c
_STAMP = (
    update(DeviceRow.__table__)  # type: ignore[arg-type]
    .where(_TABLE.id == bindparam("device"), or_(_TABLE.last_used.is_(None), _TABLE.last_used < bindparam("used")))
    .values(last_used=bindparam("used"))
)
"""The time stays if another door has seen the key later."""


def holder(session: Session, device_id: str) -> Actor | None:
    """Return the actor of a key that has not been revoked."""
    row = session.get(DeviceRow, device_id)
    return None if row is None or row.revoked is not None else _known(row)[1]


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
        may_admit=row.may_admit,
        units=dict(row.units),
        key=row.id,
    )
    return bytes.fromhex(row.secret), actor


def _checked_units(units: Mapping[str, str]) -> dict[str, str]:
    for name, unit in units.items():
        signal = BY_NAME.get(name)
        if signal is None:
            raise Invalid("units", f"no signal {quoted(name)}; GET /v1/signals lists them")
        if unit not in accepted(signal):
            raise Invalid("units", f"{name} does not come in {quoted(unit)}; known: {', '.join(examples(signal))}")
    return dict(units)


def _view(row: DeviceRow) -> Device:
    return Device(
        row.id,
        row.name,
        tuple(row.scopes),
        tuple(row.wards),
        tuple(row.patients),
        row.second_source,
        row.may_admit,
        dict(row.units),
        row.created,
        row.created_by,
        row.revoked,
        row.last_used,
    )
