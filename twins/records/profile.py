"""Who is monitored and where, and what is charted and set for them: the newest stay of a patient's id."""

import msgspec

__all__ = ["AlarmOff", "MeasuredFact", "Profile", "Stay"]


class AlarmOff(msgspec.Struct, frozen=True):
    """Whose act it is that a signal's limit alarms are off, why, since when and until when (µs)."""

    until: int
    since: int
    by: str
    reason: str


class MeasuredFact(msgspec.Struct, frozen=True):
    """What a device tells of oxygen or consciousness, since ``time`` (µs)."""

    value: float
    time: int


class Profile(msgspec.Struct, kw_only=True):
    """Who is monitored and where, with the charted facts and limits in force: all of the newest stay of this id.

    ``admitted`` (µs) tells the stay from others of the id. What is dated from ``begin`` on belongs to it; −1 where an
    earlier version wrote the profile. ``admission`` is the place in the log of the record that began it, ``discharged``
    when it ended, 0 while it goes on.

    ``oxygen`` and ``consciousness`` are as charted, ``measured`` what devices tell of them by signal.
    ``age`` follows from ``birth_date`` or from ``age_years``, which was told at ``age_told``. ``news2`` is what was said of
    this patient (``None``: nothing), ``news2_off`` why there is no score: see
    ``twins.models.deterioration.eligibility``. ``adult_limits`` says that a child is judged by limits for adults.
    """

    patient: str
    active: bool = True
    ward: str = ""
    bed: str = ""
    label: str = ""
    admitted: int = 0
    begin: int = -1
    discharged: int = 0
    admission: int = -1
    spo2_scale: int = 1
    oxygen: float | None = None
    oxygen_time: int = 0
    consciousness: str | None = None
    consciousness_time: int = 0
    measured: dict[str, MeasuredFact] = {}
    birth_date: str = ""
    age_years: int | None = None
    age_told: int = 0
    age: int | None = None
    news2: bool | None = None
    news2_off: str = ""
    adult_limits: bool = False
    limits: dict[str, dict[str, float]] = {}
    alarms_off: dict[str, AlarmOff] = {}


class Stay(msgspec.Struct, tag="stay", kw_only=True):
    """One stay of one patient id, from ``admitted`` to ``discharged`` (0: it goes on), where it ended or now is.

    What is dated from ``begin`` up to the next stay's belongs to it.
    """

    patient: str
    admitted: int
    begin: int
    discharged: int = 0
    ward: str = ""
    bed: str = ""
    label: str = ""
