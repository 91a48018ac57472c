"""The outbox: notices of escalated alarms, by id, in one table that all doors share.

Every door of a distributed service hears every notice and writes it. The first writer adds the row, the others change
nothing. A cancelled notice stays cancelled, whatever is written after it. So a notice that is sent again after a restart
is not due again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as insert_into_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite
from sqlalchemy.orm import Session

from api.accounts.audit import storable
from api.accounts.database import Database
from api.accounts.models import AccountRow, NoticeRow
from api.accounts.rights import ALL_WARDS
from twins.records import Notice

__all__ = ["KeptNotices", "NoticeQuestion", "Notices"]

_ROLE = "role:"
_BATCH = 500
_PRUNED_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class KeptNotices:
    """What one outcome says about notices: changes, and with ``whole`` all pending ones of a partition at ``time`` (µs)."""

    partition: int
    time: int
    notices: Sequence[Notice]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class NoticeQuestion:
    """Which notices: of ``wards`` or ``patients`` (both None: all), of a patient, an alarm, in a state, before a place."""

    wards: Collection[str] | None = None
    patients: Collection[str] | None = None
    patient: str = ""
    alarm: str = ""
    state: str = ""
    before: tuple[int, str] | None = None
    limit: int = 100


class Notices:
    """Writes and lists notices; all methods can raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, changes: Sequence[KeptNotices]) -> None:
        """Write changes in one transaction, in order."""
        await self._database.write(partial(_keep, changes=changes))

    async def page(self, question: NoticeQuestion) -> list[Notice]:
        """Notices, the newest first."""
        query = select(NoticeRow).order_by(NoticeRow.due.desc(), NoticeRow.id.desc()).limit(question.limit)
        for column, value in (
            (NoticeRow.patient, question.patient), (NoticeRow.alarm, question.alarm), (NoticeRow.state, question.state),
        ):  # fmt: skip
            if value:
                query = query.where(column == value)
        if question.wards is not None or question.patients is not None:
            query = query.where(
                NoticeRow.ward.in_(question.wards or ()) | NoticeRow.patient.in_(question.patients or ())
            )
        if question.before is not None:
            due, name = question.before
            query = query.where((NoticeRow.due < due) | ((NoticeRow.due == due) & (NoticeRow.id < name)))
        return await self._database.read(lambda session: [_notice(row) for row in session.scalars(query)])

    async def prune(self, before: int) -> int:
        """Delete notices that were due before a time (µs), some thousands at once; returns how many."""

        def work(session: Session) -> int:
            old = list(session.scalars(select(NoticeRow.id).where(NoticeRow.due < before).limit(_PRUNED_AT_ONCE)))
            session.execute(delete(NoticeRow).where(NoticeRow.id.in_(old)))
            return len(old)

        gone = 0
        while some := await self._database.write(work):
            gone += some
        return gone


def _keep(session: Session, changes: Sequence[KeptNotices]) -> None:
    members = _Members(session)
    for change in changes:
        for at in range(0, len(change.notices), _BATCH):
            some = change.notices[at : at + _BATCH]
            _add(session, [_values(one, change.partition, members) for one in some])
            cancelled = [one for one in some if one.state == "cancelled"]
            for one in cancelled:
                session.execute(
                    update(NoticeRow)
                    .where(NoticeRow.id == one.id, NoticeRow.state == "pending")
                    .values(state=one.state, reason=one.reason, changed=one.changed)
                )
        if change.whole:
            _cancel_others(session, change)


def _add(session: Session, rows: list[dict[str, Any]]) -> None:
    insert = insert_into_postgresql if session.get_bind().dialect.name == "postgresql" else insert_into_sqlite
    session.execute(insert(NoticeRow.__table__).on_conflict_do_nothing(index_elements=["id"]), rows)  # type: ignore[arg-type] # a table


def _cancel_others(session: Session, change: KeptNotices) -> None:
    """Cancel what is pending here but not in the twins: the alarm was answered while no door listened."""
    pending = {one.id for one in change.notices}
    # Notices newer than this state are of another door that is further ahead.
    query = select(NoticeRow.id).where(
        NoticeRow.state == "pending", NoticeRow.partition == change.partition, NoticeRow.changed < change.time
    )
    over = [name for name in session.scalars(query) if name not in pending]
    for at in range(0, len(over), _BATCH):
        session.execute(
            update(NoticeRow)
            .where(NoticeRow.id.in_(over[at : at + _BATCH]))
            .values(state="cancelled", reason="over", changed=change.time)
        )


class _Members:
    """The people of each role, read at most once in a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: list[tuple[str, str, list[str]]] | None = None

    def of(self, role: str, ward: str) -> list[str]:
        """The names of those with a role who may see a ward."""
        if self._known is None:
            rows = self._session.scalars(select(AccountRow).where(~AccountRow.disabled))
            self._known = sorted((row.name, row.role, list(row.wards)) for row in rows)
        return [name for name, its, wards in self._known if its == role and (ALL_WARDS in wards or ward in wards)]


def _values(notice: Notice, partition: int, members: _Members) -> dict[str, Any]:
    people = list(notice.people)
    for target in notice.to:
        if target.startswith(_ROLE):
            people += members.of(target.removeprefix(_ROLE), notice.ward)
    return {
        "id": notice.id, "partition": partition, "alarm": notice.alarm, "patient": storable(notice.patient, 128),
        "ward": storable(notice.ward, 128), "condition": storable(notice.condition, 128), "signal": notice.signal,
        "priority": notice.priority, "step": notice.step,
        "targets": list(notice.to), "people": list(dict.fromkeys(people)), "due": notice.due, "expires": notice.expires,
        "state": notice.state, "reason": notice.reason, "changed": notice.changed,
    }  # fmt: skip


def _notice(row: NoticeRow) -> Notice:
    return Notice(
        id=row.id, alarm=row.alarm, patient=row.patient, ward=row.ward, condition=row.condition, signal=row.signal,
        priority=row.priority, step=row.step, to=list(row.targets), people=list(row.people), due=row.due,
        expires=row.expires, state=row.state, reason=row.reason, changed=row.changed,  # type: ignore[arg-type] # its words
    )  # fmt: skip
