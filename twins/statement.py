"""What a bank says of itself: estimates as columns, a profile, a partition's whole state as one outcome."""

import numpy as np
import numpy.typing as npt

from twins.alarms import explain, lifecycle
from twins.bank import Bank
from twins.kernels import forecast, layout
from twins.models import deterioration
from twins.records import HORIZONS_MIN, QUANTILES, Estimates, Outcome, Profile, Score

__all__ = ["complete", "estimates_of", "profile_of"]

I8 = npt.NDArray[np.int64]


def estimates_of(bank: Bank, rows: I8, now: int) -> Estimates:
    """The estimates of some rows as columns."""
    numbers = bank.patient_of_row[rows]
    distinct, entry = np.unique(numbers, return_inverse=True)
    state = bank.state[rows]
    fan = np.empty((len(rows), len(HORIZONS_MIN), len(QUANTILES)), np.float32)
    forecast.quantiles(bank.state, layout.PARAMETERS, bank.stretch, rows, bank.signal_of_row, explain.Z, fan)
    phase = bank.phase[rows]
    unmeasured = state[:, layout.COUNT] == 0
    fan[unmeasured] = np.nan
    status = np.zeros(len(rows), np.uint8)
    status[(state[:, layout.REJECTS] != 0) | unmeasured] = 1
    status[phase[:, layout.FAULT] == layout.ON] = 2
    status[phase[:, layout.SILENT] == layout.ON] = 3
    mean, sd = state[:, layout.M0].copy(), np.sqrt(np.maximum(state[:, layout.P00], 0.0))
    mean[unmeasured] = sd[unmeasured] = np.nan
    return Estimates(
        emitted=now,
        patients=[bank.profile(number).patient for number in distinct.tolist()],
        patient=entry.astype("<u4").tobytes(),
        signal=bank.signal_of_row[rows].tobytes(),
        time=state[:, layout.LAST].astype("<i8").tobytes(),
        value=state[:, layout.VALUE].tobytes(),
        mean=mean.tobytes(),
        sd=sd.tobytes(),
        trend=state[:, layout.TREND].tobytes(),
        quality=state[:, layout.QUALITY].astype("<f4").tobytes(),
        status=status.tobytes(),
        quantiles=fan.tobytes(),
    )


def profile_of(bank: Bank, number: int) -> Profile:
    """A copy of a patient's profile with the limits set for this patient."""
    profile = bank.profile(number)
    names = Profile.__struct_fields__
    copied = Profile(**{name: getattr(profile, name) for name in names})
    copied.limits = {signal: dict(limits) for signal, limits in bank.patient_limits[number].items()}
    return copied


def complete(bank: Bank, offset: int) -> Outcome:
    """The whole state of a partition as one outcome, for those who begin to listen now."""
    active = np.flatnonzero(bank.active[: bank.patients])
    slots = bank.slot[active]
    rows = slots[slots >= 0].astype(np.int64)
    value, age = deterioration.inputs(bank, active, bank.time)
    del value
    scores: list[Score] = []
    for at, number in enumerate(active.tolist()):
        if (bank.parts[number] >= 0).any():
            scores.append(deterioration.score_of(bank.profile(number).patient, bank.parts[number], age[at], bank.time))
    return Outcome(
        partition=bank.partition,
        offset=offset,
        time=bank.time,
        complete=True,
        estimates=estimates_of(bank, rows, bank.time) if len(rows) else None,
        scores=scores,
        profiles=[profile_of(bank, number) for number, held in enumerate(bank.profiles) if held is not None],
        transitions=[
            lifecycle.snapshot(alarm, bank.profile(key[0]).ward) for key, alarm in sorted(bank.alarms.items())
        ],
    )
