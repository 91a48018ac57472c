"""The tables of people, devices and the audit trail; the same on SQLite and PostgreSQL.

Times are integer µs since 1970 of the service's clock, which can run faster than the wall's; the columns named
`expires` are µs of real time instead: on a service that runs at sixty times the speed, a session must not end sixty
times sooner. Secrets are stored only as hashes. The one key that is stored gives no access.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, MetaData, String, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite needs INTEGER for a row id, and PostgreSQL needs BIGINT for the range."""


class Table(DeclarativeBase):
    """A row of this package's tables."""

    metadata = MetaData(naming_convention=_CONVENTION)
    type_annotation_map = {list[str]: JSON}  # noqa: RUF012  SQLAlchemy reads it as a plain class attribute


class AccountRow(Table):
    """A person with a name to sign in by; `password` is an argon2 hash, or null while the person can sign in only by a link."""

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint("role IN ('viewer', 'clinician', 'admin')", name="role"),)

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    wards: Mapped[list[str]]
    password: Mapped[str | None] = mapped_column(String(255))
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    created: Mapped[int] = mapped_column(BigInteger)
    last_sign_in: Mapped[int | None] = mapped_column(BigInteger)


class SessionRow(Table):
    """A signed-in browser: the SHA-256 of its cookie, whose it is, and until when (µs of real time)."""

    __tablename__ = "account_sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    by_link: Mapped[bool] = mapped_column(Boolean)
    created: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[int] = mapped_column(BigInteger, index=True)

    account: Mapped[AccountRow] = relationship(lazy="joined", innerjoin=True)


class LinkRow(Table):
    """A link that signs one account in once, before it expires (µs of real time)."""

    __tablename__ = "account_links"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    created: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[int] = mapped_column(BigInteger, index=True)
    used: Mapped[int | None] = mapped_column(BigInteger)

    account: Mapped[AccountRow] = relationship(lazy="joined", innerjoin=True)


class TicketRow(Table):
    """A ticket that opens one socket before it expires (µs of real time), for the actor of this kind and key."""

    __tablename__ = "socket_tickets"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(64))
    expires: Mapped[int] = mapped_column(BigInteger, index=True)


class SealRow(Table):
    """A random key with which every door verifies what any door has sealed; it gives no access."""

    __tablename__ = "seals"

    name: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(64))


class DeviceRow(Table):
    """The key of a device or a program. It stays after it is revoked, so that old audit entries keep their meaning."""

    __tablename__ = "device_keys"

    id: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    secret: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]]
    wards: Mapped[list[str]]
    patients: Mapped[list[str]]
    second_source: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    may_admit: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    units: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    created: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str] = mapped_column(String(64))
    revoked: Mapped[int | None] = mapped_column(BigInteger)
    last_used: Mapped[int | None] = mapped_column(BigInteger)


class AuditRow(Table):
    """Who did what with whose record, the result, and how often. Rows are added, never changed, and deleted only by age."""

    __tablename__ = "audit_trail"
    __table_args__: Any = (
        Index("ix_audit_trail_patient", "patient", "id"),
        Index("ix_audit_trail_actor", "actor", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    time: Mapped[int] = mapped_column(BigInteger)
    actor: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(64))
    patient: Mapped[str] = mapped_column(String(128))
    detail: Mapped[str] = mapped_column(String(1000))
    outcome: Mapped[str] = mapped_column(String(64))
    count: Mapped[int] = mapped_column(Integer, default=1, server_default="1")


class HorizonRow(Table):
    """Audit entries before this moment (µs) may be deleted. It is 0 except during pruning; one row."""

    __tablename__ = "audit_horizon"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    before: Mapped[int] = mapped_column(BigInteger)


class NoticeRow(Table):
    """A notice of an escalated alarm, by its id: written once, whoever writes it first; a cancelled one stays cancelled."""

    __tablename__ = "notices"
    __table_args__: Any = (
        Index("ix_notices_state", "state", "partition"),
        Index("ix_notices_due", "due", "id"),
        Index("ix_notices_alarm", "alarm"),
    )

    id: Mapped[str] = mapped_column(String(96), primary_key=True)
    partition: Mapped[int] = mapped_column(Integer)
    alarm: Mapped[str] = mapped_column(String(64))
    patient: Mapped[str] = mapped_column(String(128))
    ward: Mapped[str] = mapped_column(String(128))
    condition: Mapped[str] = mapped_column(String(128))
    signal: Mapped[str] = mapped_column(String(64))
    priority: Mapped[str] = mapped_column(String(8))
    step: Mapped[int] = mapped_column(Integer)
    targets: Mapped[list[str]]
    people: Mapped[list[str]]
    due: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    changed: Mapped[int] = mapped_column(BigInteger)
