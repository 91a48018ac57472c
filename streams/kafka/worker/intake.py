"""Decide what of an input is taken, and its received time: the checks of every door, for records of any producer.

*Arrived* (µs) is the broker's time of a record, set when it was appended: one clock for all producers, which none of them
can set. A record whose received time is later than that, or missing, was received when it arrived. The decision follows
from the log alone, so reading the log again gives the same result.
"""

from collections.abc import Callable, Container, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streams.clock import WAITS_US
from streams.kafka.inputs import Foreign, Poison, read
from streams.log.entries import ERROR, quoted
from streams.log.frame import REASONS, Verdict, all_taken, as_record, check, select
from streams.log.identity import flaw
from streams.settings import Settings
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Frame, Record, Retract, Tick
from twins.signals import SIGNALS
from twins.step.walk import FUTURE_US

__all__ = ["AHEAD_US", "Intake", "arrival", "inputs_of"]

AHEAD_US = 60_000_000
"""A received time may be this much later than arrival: no two machines' clocks agree to the millisecond."""
STRANGERS = "unassigned"
"""Ward of a patient admitted by a foreign producer's observation."""
FOREIGN = "kafka"
"""The actor of such an admission, and the source of those readings."""
_EVER_US = 1 << 61

Standing = Callable[[str], bool | None]
"""Whether a patient is followed now (``False``: discharged); ``None`` if never admitted."""


class _Message(Protocol):
    @property
    def timestamp(self) -> float: ...

    @property
    def timestamp_type(self) -> int: ...


def arrival(message: _Message, scale: float, now: int) -> int:
    """When a record arrived (µs): the broker's time; if it has only its producer's time, that or ``now``, the earlier one.

    ``scale`` converts its timestamp to µs.
    """
    stamp = round(message.timestamp * scale)
    return stamp if message.timestamp_type == 1 else min(stamp, now)


def inputs_of(raw: bytes | None, received: int, known: Container[str]) -> tuple[list[Record], list[Poison]]:
    """The records of an input with a trusted received time, and the parts of it that are refused or unreadable."""
    return _Sorting(lambda name: True if name in known else None).records(raw, received)


class Intake:
    """Turns inputs into records, according to ``settings``."""

    def __init__(self, settings: Settings) -> None:
        self._admits = settings.unknown_patients == "admit"
        self._most_new = settings.max_new_patients_per_request
        # By partition: a worker's other partitions must not influence who is admitted.
        self._most = max(1, settings.max_patients // settings.kafka_partitions)
        self._future_us = int(settings.future_tolerance_s * 1e6)
        self.ahead = 0
        """Number of records with a received time after their arrival."""

    def records(self, raw: bytes | None, arrived: int, bank: Bank) -> tuple[list[Record], list[Poison]]:
        """The records of an input that may be applied to ``bank``, and the parts of it that are refused or unreadable."""

        def standing(name: str) -> bool | None:
            number = bank.index.get(name, -1)
            return None if number < 0 else bool(bank.active[number])

        def room() -> int:
            return max(0, self._most - int(np.count_nonzero(bank.active[: bank.patients]))) if self._admits else 0

        sorting = _Sorting(standing, admits=self._admits, most_new=self._most_new, room=room, future_us=self._future_us)
        records, poison = sorting.records(raw, arrived)
        for record in records:
            self._in_time(record, arrived, bank.time)
        return records, poison

    def _in_time(self, record: Record, arrived: int, last: int) -> None:
        """Limit a received time to at most the arrival, and at least the received time of the record before it."""
        if not 0 < record.received <= arrived + AHEAD_US:
            self.ahead += record.received > 0
            record.received = arrived
        if isinstance(record, Tick) and record.back:
            # Written twice, by two workers or by one that did not see its own, it is applied once.
            apart = last - record.received
            record.back = apart if apart > WAITS_US and record.received > arrived - AHEAD_US else 0
        # Only for a tick is it information to be late: something had blocked it.
        if not isinstance(record, Tick) and last <= arrived + AHEAD_US:
            record.received = max(record.received, last)


class _Sorting:
    """Sorts one input into what is taken and what is not."""

    def __init__(
        self, standing: Standing, *, admits: bool = True, most_new: int = _EVER_US,
        room: Callable[[], int] = lambda: _EVER_US, future_us: int = _EVER_US,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._admits = admits
        self._most_new = most_new
        self._room = room
        self._future_us = future_us
        self._strangers: dict[str, None] = {}
        self._poison: list[Poison] = []

    def records(self, raw: bytes | None, arrived: int) -> tuple[list[Record], list[Poison]]:
        """The records, and what is refused or unreadable."""
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
        """A frame without the readings that every door refuses and no twin can use."""
        columns = frame.columns
        if all_taken(columns, arrived, FUTURE_US, _EVER_US):
            return [frame]
        verdict = check(columns, arrived, FUTURE_US, _EVER_US)
        for code in np.unique(verdict[verdict != Verdict.OK]).tolist():
            count = int((verdict == code).sum())
            self._refuse(REASONS[code], "frame", f"{count} of {len(columns)} readings of a frame")
        kept = np.flatnonzero(verdict == Verdict.OK)
        if not len(kept):
            return []
        source = np.frombuffer(frame.source, "<u2")[kept] if frame.source else None
        return [as_record(select(columns, kept), frame.received, frame.sources, source)]

    # -- a foreign producer's observations ----------------------------------------------------------------------------

    def _foreign(self, found: Foreign, arrived: int) -> list[Record]:
        """Its patients may be unknown: such observations admit them, if that is allowed."""
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
        """The positions of the readings that are taken."""
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
            del self._strangers[name]  # none of their readings is taken: so they admit nobody
        return np.array(kept, np.intp)

    def _refusal(self, name: str, *, admits: bool) -> tuple[str, str]:
        """Why nothing of this patient is taken, empty if it is; an unknown patient who may be admitted is noted."""
        followed = self._standing(name)
        if followed is not None:
            return ("", "") if followed else ("discharged_patient", "the patient is discharged; admit them again first")
        if wrong := flaw(name):
            return "bad_patient_id", wrong
        if name in self._strangers:
            return "", ""
        if not admits or not self._admits:
            return "unknown_patient", "this patient is not admitted, and here a reading does not admit"
        return self._no_room(name)

    def _no_room(self, name: str) -> tuple[str, str]:
        if len(self._strangers) >= self._most_new:
            return "too_many_new_patients", "one record admits only a limited number of new patients"
        if len(self._strangers) >= self._room():
            return "too_many_patients", "the partition already has its largest number of patients"
        self._strangers[name] = None
        return "", ""
