"""The bank's state in outcomes: estimates as columns, a profile, and the whole state of a partition."""

import numpy as np
from msgspec import UNSET

from twins.alarms import lifecycle
from twins.arrays import I8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration
from twins.records import Estimates, Outcome, Profile, Score, SetWard, SetZone
from twins.step import site_models
from twins.step.estimate_columns import columns, rejected

__all__ = ["complete", "estimates_of", "profile_of"]


def estimates_of(bank: Bank, rows: I8, now: int) -> Estimates:
    """The estimates of some rows, which are sorted by patient, as columns."""
    count = len(rows)
    numbers, patient, signal = np.empty(count, np.int64), np.empty(count, "<u4"), np.empty(count, "<u2")
    time, figures, quality = np.empty(count, "<i8"), np.empty((4, count)), np.empty(count, "<f4")
    status, belief = np.empty(count, np.uint8), np.empty((count, layout.B_RECENT), "<f4")
    last = np.empty((count, layout.BELIEF - layout.B_RECENT), "<f4")
    named, rejections = columns(
        rows, bank.state, bank.watch, bank.ring, bank.shown, bank.phase, bank.stretch, bank.recent, bank.signal_of_row,
        bank.patient_of_row, layout.PARAMETERS, numbers, patient, signal, time, figures, quality, status, belief, last,
    )  # fmt: skip
    bad_value = bad_time = b""
    if rejections:
        of_rejected, when = np.empty(count), np.empty(count, "<i8")
        rejected(rows, bank.state, bank.signal_of_row, layout.PARAMETERS, of_rejected, when)
        bad_value, bad_time = of_rejected.tobytes(), when.tobytes()
    names = bank.profiles
    value, mean, sd, trend = (figure.tobytes() for figure in figures)
    return Estimates(
        emitted=now,
        patients=[names[number].patient for number in numbers[:named].tolist()],
        patient=patient.tobytes(),
        signal=signal.tobytes(),
        time=time.tobytes(),
        value=value,
        mean=mean,
        sd=sd,
        trend=trend,
        quality=quality.tobytes(),
        status=status.tobytes(),
        belief=belief.tobytes(),
        recent=last.tobytes(),
        rejected=bad_value,
        rejected_time=bad_time,
    )


def profile_of(bank: Bank, number: int) -> Profile:
    """A copy of a patient's profile with the limits set for this patient."""
    profile = bank.profile(number)
    names = Profile.__struct_fields__
    copied = Profile(**{name: getattr(profile, name) for name in names})
    copied.limits = {signal: dict(limits) for signal, limits in bank.patient_limits[number].items()}
    return copied


def complete(bank: Bank, offset: int, first: int = 0, last: int | None = None) -> Outcome:
    """The whole state of a partition, or of its patients ``first`` to ``last``, for new listeners."""
    last = bank.patients if last is None else last
    active = first + np.flatnonzero(bank.active[first : min(last, bank.patients)])
    slots = bank.slot[active]
    rows = slots[slots >= 0].astype(np.int64)
    _, age = deterioration.inputs(bank, active, bank.time)
    scores: list[Score] = []
    for at, number in enumerate(active.tolist()):
        if (bank.parts[number] >= 0).any():
            rise = int(bank.score_rise[number])
            patient = bank.profile(number).patient
            scores.append(deterioration.score_of(patient, bank.parts[number], age[at], bank.time, rise=rise))
    told = site_models.outputs_of(bank, active, bank.time) if bank.models and len(active) else []
    return Outcome(
        partition=bank.partition,
        offset=offset,
        time=bank.time,
        complete=True,
        estimates=estimates_of(bank, rows, bank.time) if len(rows) else None,
        scores=scores,
        profiles=[
            profile_of(bank, first + at) for at, held in enumerate(bank.profiles[first:last]) if held is not None
        ],
        transitions=[
            lifecycle.snapshot(alarm, bank.profile(key[0]).ward)
            for key, alarm in sorted(bank.alarms.items())
            if first <= key[0] < last
        ],
        ward_limits=list(bank.ward_limits.values()),
        wards=[SetWard(ward=ward, news2=scores) for ward, scores in sorted(bank.ward_scores.items())],
        settings=bank.settings.present(),
        notices=[one for number in active.tolist() for one in bank.notices.get(number, ())],
        outputs=told or UNSET,
        rules=bank.rules.command or UNSET,
        zones=[SetZone(ward=ward, zone=zone) for ward, zone in sorted(bank.rules.zones.items())],
    )
