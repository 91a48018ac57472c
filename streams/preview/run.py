"""Run readings again through the step, as things are set now and with changes, and compare the alarms."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from streams.preview.course import Course, records_of, step_of
from streams.preview.episodes import Episodes, counts_of, only_in, sustained, with_readings
from streams.preview.job import Job, Missing, Part, Preview
from twins.alarms.burden import patient_days
from twins.bank.bank import Bank
from twins.records import Admit, Command, Fact, Profile, Record, SetLimits
from twins.step.dispatch import step
from twins.step.stays import stay_of

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["RUN_IN_US", "episodes_of", "preview", "setup_of"]

RUN_IN_US = 2 * 3_600_000_000
"""The twins start empty so long before the period: they need it to know the patients."""


_MANY = 500_000
"""With so many readings both runs go at the same time."""


def preview(
    job: Job, course: Course, parts: list[Part], missing: list[Missing], tell: Callable[[float], None] = lambda _: None
) -> Preview:
    """Both runs of a course; ``tell`` gets the share that is done."""
    began = time.perf_counter()
    present, changed = _both(course, job, tell)
    gained = only_in(changed.found, present.found, job.end)
    lost = only_in(present.found, changed.found, job.end)
    listed = [*gained[: job.listed], *lost[: job.listed]]
    with_readings(listed, course)
    days = patient_days((stay_of(profile) for profile in job.patients), job.start, job.end)
    return Preview(
        start=job.start, end=job.end, patients=len(job.patients), patient_days=sum(days.values()), readings=len(course),
        parts=parts, present=counts_of(present, job.end), changed=counts_of(changed, job.end),
        gained=gained[: job.listed], lost=lost[: job.listed], gained_count=len(gained), lost_count=len(lost),
        lost_sustained=sum(sustained(one, job.end) for one in lost), missing=missing,
        step_s=step_of(course) / 1e6, seconds=time.perf_counter() - began,
    )  # fmt: skip


def _both(course: Course, job: Job, tell: Callable[[float], None]) -> tuple[Episodes, Episodes]:
    """Both runs; a long one at the same time as the other, where a process can be copied."""
    if len(course) >= _MANY and "fork" in multiprocessing.get_all_start_methods():
        system = multiprocessing.get_context("fork")
        receiver, sender = system.Pipe(duplex=False)
        other = system.Process(target=_send_present, args=(sender, course, job), daemon=True)
        other.start()
        sender.close()
        try:
            changed = episodes_of(course, job, job.changes, tell)
            return receiver.recv(), changed
        finally:
            other.kill()
            other.join()
    present = episodes_of(course, job, (), lambda share: tell(share / 2))
    return present, episodes_of(course, job, job.changes, lambda share: tell(0.5 + share / 2))


def _send_present(sender: "Connection[Episodes, None]", course: Course, job: Job) -> None:
    sender.send(episodes_of(course, job, ()))


def episodes_of(
    course: Course, job: Job, changes: Iterable[Command], tell: Callable[[float], None] = lambda _: None
) -> Episodes:
    """The alarms of one run from the job's start on, with ``changes`` after what is set now."""
    bank, episodes = Bank(), Episodes(job.start)
    begin = min([job.start - RUN_IN_US, *(int(one) for one in course.arrived[:1])])
    offset = 0
    for record in (*setup_of(job.patients, job.setup, begin), *(_at(change, begin) for change in changes)):
        step(bank, record, offset)
        offset += 1
    length = max(1, job.end - begin)
    told = 0.0
    for record in records_of(course, job.end):
        episodes.take(step(bank, record, offset).transitions)
        offset += 1
        share = (record.received - begin) / length
        if share - told >= 0.01:
            told = share
            tell(share)
    return episodes


def setup_of(patients: Sequence[Profile], setup: Iterable[Command], begin: int) -> list[Record]:
    """The records that bring an empty bank to what is set now, at ``begin`` (µs)."""
    records: list[Record] = [_admission(one, begin) for one in patients]
    records += [_at(command, begin) for command in setup]
    for one in patients:
        for signal in sorted(one.limits.keys() | one.periods.keys()):
            bounds: dict[str, Any] = dict(one.limits.get(signal, {}))
            periods = one.periods.get(signal, {})
            records.append(SetLimits(patient=one.patient, signal=signal, received=begin, periods=periods, **bounds))
        for kind, value, at in (
            ("oxygen", one.oxygen, one.oxygen_time), ("consciousness", one.consciousness, one.consciousness_time),
        ):  # fmt: skip
            if value is not None and at <= begin:
                records.append(Fact(patient=one.patient, kind=kind, time=at, value=value, received=begin))
    return records


def _admission(one: Profile, begin: int) -> Admit:
    return Admit(
        patient=one.patient, ward=one.ward, bed=one.bed, label=one.label, spo2_scale=one.spo2_scale,
        birth_date=one.birth_date, age_years=one.age_years, news2=one.news2, received=begin,
    )  # fmt: skip


def _at(command: Command, begin: int) -> Command:
    return msgspec.structs.replace(command, received=begin)
