"""Stays: what belongs to one admission of a patient's id, and to no other.

An id may be used again, for a bed or for a patient who comes back. A stay begins at its admission, with an empty state:
what was set, charted, measured and alarmed before belongs to the stay before. Only the first stay of an id includes
earlier readings, because nobody else can have had that id.
"""

import numpy as np
import numpy.typing as npt

from twins.arrays import I8, U4
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Fact, Profile, Stay

__all__ = ["began", "begin_stay", "charted_before", "end_stay", "of_this_stay", "stay_of"]


_MS = 1_000
_CHARTED = 64
"""How many of a patient's facts are remembered, to recognise repeats."""


def began(command: Admit, former: Profile | None, time: int, admission: int = -1) -> Profile:
    """The profile of a stay that begins at log time ``time`` (µs), admitted by the record at ``admission``.

    Stays of one id are at least a millisecond apart, so a time in milliseconds identifies one.
    """
    admitted = time if former is None else max(time, (former.discharged // _MS + 1) * _MS)
    return Profile(
        patient=command.patient, ward=command.ward, bed=command.bed, label=command.label, spo2_scale=command.spo2_scale,
        admitted=admitted, begin=0 if former is None else admitted, admission=admission, birth_date=command.birth_date,
        age_years=command.age_years, age_told=command.received, news2=command.news2,
    )  # fmt: skip


def stay_of(profile: Profile) -> Stay:
    """The stay of a profile, as it is stored when it begins and when it ends."""
    return Stay(
        patient=profile.patient, admitted=profile.admitted, begin=profile.begin, discharged=profile.discharged,
        ward=profile.ward, bed=profile.bed, label=profile.label,
    )  # fmt: skip


def begin_stay(bank: Bank, number: int, profile: Profile) -> None:
    """Follow a patient from now on, with nothing from an earlier stay."""
    end_stay(bank, number)
    bank.profiles[number] = profile
    bank.active[number] = 1
    bank.begin[number] = profile.begin
    bank.scale2[number] = profile.spo2_scale == 2


def end_stay(bank: Bank, number: int) -> None:
    """Delete what belonged to a patient's stay: channels, limits, charted facts, scores. Its alarms have ended before."""
    bank.forget(number)
    profile = bank.profile(number)
    profile.oxygen = profile.consciousness = None
    profile.oxygen_time = profile.consciousness_time = 0
    profile.measured = {}
    profile.spo2_scale = 1
    profile.alarms_off = {}
    profile.audio_pause = profile.alarm_pause = None
    bank.note_alarms_off(number)
    profile.periods, profile.limits_set = {}, {}


def charted_before(bank: Bank, number: int, fact: Fact) -> bool:
    """Whether a fact has the id of one of the patient's newest facts; stores the id of a new one."""
    ids = bank.charted[number]
    if not fact.id or fact.id in ids:
        return bool(fact.id)
    ids.append(fact.id)
    del ids[:-_CHARTED]
    return False


def of_this_stay(bank: Bank, columns: Columns, numbers: I8) -> tuple[U4, npt.NDArray[np.bool_] | None]:
    """The frame's columns without readings from before the stay, and where those are, if there may be any.

    ``numbers`` has a patient's number per entry of ``columns.patients``, −1 if not admitted.
    """
    begin = bank.begin[numbers]
    if not np.count_nonzero(begin):
        return columns.patient, None
    begin[numbers < 0] = 0
    nobody = len(numbers)
    early = columns.time < np.append(begin, 0)[np.minimum(columns.patient, nobody)]
    early &= np.isfinite(columns.value)
    patient = np.where(early, np.uint32(nobody), columns.patient)
    patient.flags.writeable = False  # as it comes from the wire: a read-only array is another type to the kernels
    return patient, early
