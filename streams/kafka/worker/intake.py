"""What of an input is taken, and as of when: the checks of every door, for what anybody's producer wrote.

*Arrived* (µs) is the broker's time of a record, set as it was appended: one clock for all who write, that none of them can
set. A record that says it was received later than that, or never, was received when it arrived. The verdict follows from the
log alone, so reading it again gives the same.
"""

from collections.abc import Callable, Container, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streams.clock import WAITS_US
from streams.kafka.inputs import Foreign, Poison, read
from streams.log.entries import ERROR, quoted
from streams.log.frame import REASONS, Verdict, as_record, check, select
from streams.log.identity import flaw
from streams.settings import Settings
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Frame, Record, Retract, Tick
from twins.signals import SIGNALS
from twins.step.walk import FUTURE_US

__all__ = ["AHEAD_US", "Intake", "arrival", "inputs_of"]

AHEAD_US = 60_000_000
"""A record may say that it was received so long after it arrived: no two machines' clocks agree to the millisecond."""
STRANGERS = "unassigned"
"""Ward of a patient whom a stranger's observation admits."""
FOREIGN = "kafka"
"""Who is said to have done so, and the source of those readings."""
_EVER_US = 1 << 61

Standing = Callable[[str], bool | None]
"""Whether a patient is followed now (``False``: discharged); ``None`` for somebody never admitted."""


class _Message(Protocol):
    @property
    def timestamp(self) -> float: ...

    @property
    def timestamp_type(self) -> int: ...


def arrival(message: _Message, scale: float, now: int) -> int:
    """When a record arrived (µs): the broker's time, or where only its sender's is told, that or ``now``, what is earlier.

    ``scale`` brings its timestamp to µs.
    """
    told = round(message.timestamp * scale)
    return told if message.timestamp_type == 1 else min(told, now)


def inputs_of(raw: bytes | None, received: int, known: Container[str]) -> tuple[list[Record], list[Poison]]:
    """The records an input holds, if it was received at a time one can trust, and what of it can be neither taken nor read."""
    return _Sorting(lambda name: True if name in known else None).records(raw, received)


class Intake:
    """Turns inputs into records as ``settings`` allow."""

    def __init__(self, settings: Settings) -> None:
        self._admits = settings.unknown_patients == "admit"
        self._most_new = settings.max_new_patients_per_request
        # Each partition by itself: which others this worker has must not decide who is admitted.
        self._most = max(1, settings.max_patients // settings.kafka_partitions)
        self._future_us = int(settings.future_tolerance_s * 1e6)
        self.ahead = 0
        """Records that said they were received later than they arrived."""

    def records(self, raw: bytes | None, arrived: int, bank: Bank) -> tuple[list[Record], list[Poison]]:
        """The records an input holds that ``bank`` may be moved by, and what of it can be neither taken nor read."""

        def standing(name: str) -> bool | None:
            number = bank.index.get(name, -1)
            return None if number < 0 else bool(bank.active[number])

        room = max(0, self._most - int(np.count_nonzero(bank.active[: bank.patients]))) if self._admits else 0
        sorting = _Sorting(standing, admits=self._admits, most_new=self._most_new, room=room, future_us=self._future_us)
        records, poison = sorting.records(raw, arrived)
        for record in records:
            self._in_time(record, arrived, bank.time)
        return records, poison

    def _in_time(self, record: Record, arrived: int, last: int) -> None:
        """Have a record be received no later than it arrived, and no earlier than the one before it in the log."""
        if not 0 < record.received <= arrived + AHEAD_US:
            self.ahead += record.received > 0
            record.received = arrived
        if isinstance(record, Tick) and record.back:
            # Told twice, by two workers or by one that had not heard itself, it is done once.
            apart = last - record.received
            record.back = apart if apart > WAITS_US and record.received > arrived - AHEAD_US else 0
        # Only a tick says something of time by being late: that it was held up.
        if not isinstance(record, Tick) and last <= arrived + AHEAD_US:
            record.received = max(record.received, last)


class _Sorting:
    """One input sorted into what is taken and what is not."""

    def __init__(
        self, standing: Standing, *, admits: bool = True, most_new: int = _EVER_US, room: int = _EVER_US,
        future_us: int = _EVER_US,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._admits = admits
        self._most_new = most_new
        self._room = room
        self._future_us = future_us
        self._strangers: dict[str, None] = {}
        self._poison: list[Poison] = []

    def records(self, raw: bytes | None, arrived: int) -> tuple[list[Record], list[Poison]]:
        """The records, and what is neither taken nor read."""
        found, self._poison = read(raw)
        if found is None:
            return [], self._poison
        if isinstance(found, Foreign):
            return self._foreign(found, arrived), self._poison
        if isinstance(found, Frame):
            return self._sifted(found, arrived if self._future_us < _EVER_US else _EVER_US), self._poison
        if isinstance(found, Admit) and (wrong := flaw(found.patient)):
            self._refuse("bad_patient_id", "record", f"{quoted(found.patient)}: {wrong}")
            return [], self._poison
        return [found], self._poison

    def _refuse(self, reason: str, where: str, detail: str) -> None:
        self._poison.append(Poison(reason, where, detail))

    def _sifted(self, frame: Frame, arrived: int) -> list[Record]:
        """A frame without the readings that no door lets in and no twin could take."""
        columns = frame.columns
        verdict = check(columns, arrived, FUTURE_US, _EVER_US)
        if not verdict.any():
            return [frame]
        for code in np.unique(verdict[verdict != Verdict.OK]).tolist():
            count = int((verdict == code).sum())
            self._refuse(REASONS[code], "frame", f"{count} of {len(columns)} readings of a frame")
        kept = np.flatnonzero(verdict == Verdict.OK)
        if not len(kept):
            return []
        source = np.frombuffer(frame.source, "<u2")[kept] if frame.source else None
        return [as_record(select(columns, kept), frame.received, frame.sources, source)]

    # -- somebody else's observations ----------------------------------------------------------------------------

    def _foreign(self, found: Foreign, arrived: int) -> list[Record]:
        """Nobody admitted its patients at a door: who is not known is admitted by it, if that is allowed."""
        readings = self._kept(found.readings, found.places, arrived, admits=True)
        errors = self._kept(found.errors, found.error_places, arrived, admits=False)
        records: list[Record] = [
            Admit(patient=patient, ward=STRANGERS, stranger=True, by=FOREIGN, received=arrived)
            for patient in self._strangers
        ]
        if len(readings):
            records.append(as_record(select(found.readings, readings), arrived, (FOREIGN,)))
        columns = found.errors
        records += [
            Retract(
                patient=columns.patients[int(columns.patient[place])], signal=SIGNALS[int(columns.signal[place])].name,
                time=int(columns.time[place]), by=FOREIGN, source=FOREIGN, reason=ERROR, received=arrived,
            )
            for place in errors.tolist()
        ]  # fmt: skip
        return records

    def _kept(self, columns: Columns, entries: Sequence[int], arrived: int, *, admits: bool) -> npt.NDArray[np.intp]:
        """The places of those readings that are taken."""
        of_patient = [self._refusal(name, admits=admits) for name in columns.patients]
        future = columns.time > arrived + self._future_us
        kept = []
        for place, (patient, ahead) in enumerate(zip(columns.patient.tolist(), future.tolist(), strict=True)):
            reason, detail = of_patient[patient]
            if not reason and ahead:
                reason, detail = "time_in_future", f"dated more than {self._future_us / 1e6:g} s after it arrived"
            if reason:
                self._refuse(reason, f"entry {entries[place]}", f"{quoted(columns.patients[patient])}: {detail}")
            else:
                kept.append(place)
        named = {columns.patients[patient] for patient in columns.patient[kept].tolist()}
        for name in [name for name in self._strangers if admits and name not in named]:
            del self._strangers[name]  # nothing of them is taken: nobody comes in by that
        return np.array(kept, np.intp)

    def _refusal(self, name: str, *, admits: bool) -> tuple[str, str]:
        """Why nothing of this patient is taken, empty if it is; a stranger who may come in is noted."""
        followed = self._standing(name)
        if followed is not None:
            return ("", "") if followed else ("discharged_patient", "the patient is discharged; admit them again first")
        if wrong := flaw(name):
            return "bad_patient_id", wrong
        if name in self._strangers:
            return "", ""
        if not admits or not self._admits:
            return "unknown_patient", "nobody admitted this patient, and a reading does not admit here"
        return self._no_room(name)

    def _no_room(self, name: str) -> tuple[str, str]:
        if len(self._strangers) >= self._most_new:
            return "too_many_new_patients", "one record admits only so many new patients"
        if len(self._strangers) >= self._room:
            return "too_many_patients", "the partition has as many patients as it may"
        self._strangers[name] = None
        return "", ""
