"""The stated chances that a record judged, as columns of its outcome."""

from collections.abc import Sequence

import numpy as np

from twins.arrays import F8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import JudgedChances

__all__ = ["judged_chances"]


def judged_chances(bank: Bank, judged: Sequence[F8]) -> JudgedChances:
    """The events of kernels (``twins.models.channel.statements.judge``) as a record, in their order."""
    events = np.concatenate(judged)
    rows = events[:, layout.E_ROW].astype(np.int64)
    numbers, patient = np.unique(bank.patient_of_row[rows], return_inverse=True)
    profiles = [bank.profile(number) for number in numbers.tolist()]
    return JudgedChances(
        patients=[profile.patient for profile in profiles],
        wards=[profile.ward for profile in profiles],
        patient=patient.astype("<u4").tobytes(),
        signal=bank.signal_of_row[rows].astype("<u2").tobytes(),
        side=events[:, layout.E_LIMIT].astype("u1").tobytes(),
        kind=events[:, layout.E_KIND].astype("u1").tobytes(),
        made=events[:, layout.E_MEAN].astype("<i8").tobytes(),
        judged=events[:, layout.E_TIME].astype("<i8").tobytes(),
        stated=events[:, layout.E_EXTRA].astype("<f4").tobytes(),
        came=events[:, layout.E_VALUE].astype("u1").tobytes(),
    )
