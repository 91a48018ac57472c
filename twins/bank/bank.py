"""The state of all twins of one partition: numpy arrays with a row per channel and a row per patient.

A *channel* is one signal of one patient. Patients are numbered densely. ``slot[patient, signal]`` is the channel's row
or −1. Nothing here reads a clock or does I/O: ``twins.step`` moves the bank, and ``twins.bank.checkpoint`` divides it
into checkpoints.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from twins.alarms.active import Active, Key
from twins.alarms.lifecycle import Alarm
from twins.alarms.limit_settings import BOUNDS, RATES, limits_given
from twins.alarms.limits_in_force import Layer, OwnLimits, in_force, layers
from twins.alarms.rules import local_minute
from twins.bank import layout
from twins.bank.arrays import BLANK, KEPT_PATIENTS, KEPT_ROWS, OF_READINGS, PATIENTS, ROWS, grown, new
from twins.bank.memory import Clock, Others, Past, Withheld
from twins.bank.model_states import ModelStates
from twins.bank.policies import Policies
from twins.bank.rule_states import RuleStates
from twins.bank.settings import Settings
from twins.models.channel import passage
from twins.models.registry import SiteModel
from twins.records import Columns, Fact, Notice, Profile, Retract, SetLimits, SetWard
from twins.signals import SIGNALS

__all__ = ["BLOCK", "Bank"]

BLOCK = 64
"""Patients per checkpoint block."""


class Bank:
    """All twins of one partition; ``models`` are the site's own models."""

    state: npt.NDArray[np.float64]
    watch: npt.NDArray[np.float64]
    ring: npt.NDArray[np.float64]
    kept: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]
    mark: npt.NDArray[np.float64]
    judged: npt.NDArray[np.float64]
    shown: npt.NDArray[np.float64]
    due: npt.NDArray[np.float64]
    forecasts: npt.NDArray[np.float32]
    made: npt.NDArray[np.uint8]
    stretch: npt.NDArray[np.float32]
    recent: npt.NDArray[np.float32]
    tried: npt.NDArray[np.uint16]
    awaiting: npt.NDArray[np.float64]
    stated: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    warned: npt.NDArray[np.float32]
    warned_at: npt.NDArray[np.int64]
    phase: npt.NDArray[np.uint8]
    since: npt.NDArray[np.int64]
    signal_of_row: npt.NDArray[np.uint16]
    patient_of_row: npt.NDArray[np.int64]
    slot: npt.NDArray[np.int32]
    active: npt.NDArray[np.uint8]
    live: npt.NDArray[np.uint8]
    pending: npt.NDArray[np.uint8]
    begin: npt.NDArray[np.int64]
    writer: npt.NDArray[np.uint32]
    emitted: npt.NDArray[np.int64]
    oxygen: npt.NDArray[np.float64]
    oxygen_time: npt.NDArray[np.int64]
    consciousness: npt.NDArray[np.float64]
    consciousness_time: npt.NDArray[np.int64]
    device: npt.NDArray[np.float64]
    scale2: npt.NDArray[np.uint8]
    unscored: npt.NDArray[np.uint8]
    parts: npt.NDArray[np.int8]
    stale: npt.NDArray[np.uint8]
    scored: npt.NDArray[np.int64]
    score_phase: npt.NDArray[np.uint8]
    score_since: npt.NDArray[np.int64]
    score_told: npt.NDArray[np.int8]
    known_parts: npt.NDArray[np.int8]
    agreement: npt.NDArray[np.float64]
    rule_force: npt.NDArray[np.uint32]
    score_rise: npt.NDArray[np.int8]
    score_past: npt.NDArray[np.int8]
    score_inputs: npt.NDArray[np.uint8]
    score_quarter: npt.NDArray[np.uint32]
    rate: npt.NDArray[np.float32]
    rate_since: npt.NDArray[np.uint32]
    rate_phase: npt.NDArray[np.uint8]

    def __init__(self, partition: int = 0, models: Iterable[SiteModel] = ()) -> None:  # noqa: PLR0915 - one line a part
        self.partition = partition
        self.models = ModelStates(models)
        self.rules = RuleStates()
        self.index: dict[str, int] = {}
        self.profiles: list[Profile | None] = []
        self._alarms_off: set[int] = set()
        self._paused: set[int] = set()
        self.patient_limits: list[dict[str, dict[str, float]]] = []
        self.charted: list[list[str]] = []
        """By patient, the ids of the newest facts, to recognise repeats."""
        self.ward_limits: dict[tuple[str, str], SetLimits] = {}
        self._row_limits: dict[tuple[int, str, int | None], tuple[tuple[float, ...], tuple[float, ...], float]] = {}
        """Rows of ``limit`` and ``rate`` by signal, ward and age, for patients without settings of their own."""
        self.ward_changes: list[tuple[int, SetLimits]] = []
        """Offset in the log at which each ward limit was set, as far back as a replay may begin."""
        self.ward_scores: dict[str, bool] = {}
        """Wards that have a setting whether they use NEWS2."""
        self.wards: list[tuple[int, SetWard]] = []
        """Offset in the log of that setting, as in ``ward_changes``."""
        self.settings = Settings()
        self.policies = Policies(self.settings)
        self.notices: dict[int, list[Notice]] = {}
        """Notices of escalated alarms that nobody has answered yet, by patient."""
        self.escalates_next = 0
        """No step of an escalation is due before this time (µs)."""
        self.minute = -1
        """The minute of the log's time, since 1970, in which parts of the day were last checked."""
        self.day = -1
        """The day of the log's time, in days since 1970, on which ages were last checked."""
        self.alarms = Active()
        self.ended: dict[Key, Alarm] = {}
        """Alarms that ended a short time ago: if the condition becomes true again, it is the same episode."""
        self.withheld: dict[tuple[int, str, int], Withheld] = {}
        """By patient, condition and signal, what is true while its alarm is turned off."""
        self.claims: dict[tuple[int, int], dict[int, int]] = {}
        """By patient and signal, the claimed times of readings and the times under which they are filed; see
        ``arrival``.
        """
        self.clocks: dict[tuple[int, int], Clock] = {}
        """By patient and signal, senders with a wrong clock."""
        self.taken: dict[tuple[int, int], dict[int, bool]] = {}
        self.others: dict[tuple[int, int], Others] = {}
        """By patient and signal, owners of readings other than the first source; see ``ownership``."""
        """By patient and signal, the times of readings that were wrong, and whether the filter has run without them."""
        self.devices: dict[int, str] = {}
        """Names of sources by their numbers in ``writer`` and ``others``."""
        self.past: dict[tuple[int, int], Past] = {}
        """By patient and signal, episodes of the past; see ``past``."""
        self.unsettled: set[tuple[int, int]] = set()
        """Those of them that still have to be reported."""
        self.filed: Columns | Fact | Retract | None = None
        """The outcome of the last record, under the times at which its readings are filed."""
        self.time = 0
        self.time_kept = 0
        """Log time of the restored checkpoint: a replay begins before it."""
        self.time_kept_at = -1
        """Offset of that checkpoint."""
        self.rows = 0
        self.free: list[int] = []
        self.covered: list[int] = []
        """The offset that each block had processed when it was restored; −1 for a block that starts with the log."""
        self.catching_up = False
        self.dirty: set[int] = set()
        self._new_arrays()

    def _new_arrays(self) -> None:
        self.scratch = np.zeros(passage.SCRATCH, np.float32)
        self.events = np.zeros((256, layout.EVENT_WIDTH))
        """Scratch for kernels, and for their events; the content between calls has no meaning."""
        for name, (dtype, shape) in ROWS.items():
            setattr(self, name, new(name, dtype, (64, *shape)))
        for name, (dtype, shape) in PATIENTS.items():
            setattr(self, name, new(name, dtype, (BLOCK, *shape)))

    # -- patients -----------------------------------------------------------------------------------------------

    def held(self) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        """The used part of every array, with the number of the patient that each of its rows belongs to."""
        owners = self.patient_of_row[: self.rows]
        for name in KEPT_ROWS:
            yield getattr(self, name)[: self.rows], owners
        everybody = np.arange(self.patients)
        for array in self.models.of_level("channel"):
            yield array[: self.rows], owners
        for array in self.models.of_level("patient"):
            yield array[: self.patients], everybody
        for array in self.rules.arrays:
            yield array[: self.patients], everybody
        for name in KEPT_PATIENTS:
            yield getattr(self, name)[: self.patients], everybody

    @property
    def bytes_held(self) -> int:
        """Bytes of the used channels and patients in the arrays, without names, profiles and alarms."""
        held = [
            (array, self.rows) for array in (*(getattr(self, name) for name in ROWS), *self.models.of_level("channel"))
        ]
        of_patients = (
            *(getattr(self, name) for name in PATIENTS), *self.models.of_level("patient"), *self.rules.arrays,
        )  # fmt: skip
        held += [(array, self.patients) for array in of_patients]
        return sum(count * (array.nbytes // len(array)) for array, count in held)

    @property
    def patients(self) -> int:
        """How many patient numbers are used, including gaps."""
        return len(self.profiles)

    def number(self, patient: str) -> int:
        """The patient's number; a new one is assigned if there is none."""
        known = self.index.get(patient)
        if known is not None:
            return known
        number = next((at for at, held in enumerate(self.profiles) if held is None), -1) if self.catching_up else -1
        if number < 0:
            number = len(self.profiles)
            self.extend(number + 1)
        self.index[patient] = number
        self.profiles[number] = Profile(patient=patient, active=False)
        self.live[number] = 1
        return number

    def extend(self, count: int) -> None:
        """Make room for patients up to number ``count``."""
        while len(self.profiles) < count:
            self.profiles.append(None)
            self.patient_limits.append({})
            self.charted.append([])
        while len(self.covered) * BLOCK < count:
            self.covered.append(-1)
        held = len(self.active)
        if count > held:
            self._room_for_patients(max(count, 2 * held))

    def _room_for_patients(self, count: int) -> None:
        for name in PATIENTS:
            setattr(self, name, grown(name, getattr(self, name), count))
        self.models.make_room("patient", count)
        self.rules.make_room(count)

    def room_for_rows(self, count: int) -> None:
        """Make room for ``count`` channels."""
        for name in ROWS:
            setattr(self, name, grown(name, getattr(self, name), count))
        self.models.make_room("channel", count)

    def expect(self, patients: int, channels: int) -> None:
        """Make room for this many at once; growing in steps would copy everything several times."""
        if patients > len(self.active):
            self._room_for_patients(patients)
        if self.rows + channels > len(self.state):
            self.room_for_rows(self.rows + channels)

    def profile(self, number: int) -> Profile:
        """The profile of the patient with a number."""
        profile = self.profiles[number]
        if profile is None:
            raise KeyError(number)
        return profile

    @property
    def with_alarms_off(self) -> list[int]:
        """Numbers of the live patients some of whose alarms are off."""
        return [number for number in self._alarms_off if self.live[number]]

    @property
    def paused(self) -> list[int]:
        """Numbers of the live patients whose alarms are paused, in order."""
        return sorted(number for number in self._paused if self.live[number])

    def note_alarms_off(self, number: int) -> None:
        """Check, after a patient's profile changed, whether some of the patient's alarms are off or paused."""
        profile = self.profiles[number]
        off = profile is not None and bool(profile.alarms_off)
        paused = profile is not None and (profile.audio_pause is not None or profile.alarm_pause is not None)
        for numbers, here in ((self._alarms_off, off), (self._paused, paused)):
            if here:
                numbers.add(number)
            else:
                numbers.discard(number)

    # -- channels -----------------------------------------------------------------------------------------------

    def open_channel(self, number: int, signal: int) -> int:
        """The row of a channel; it is created if there is none."""
        row = int(self.slot[number, signal])
        if row >= 0:
            return row
        if self.free:
            row = self.free.pop()
        else:
            row = self.rows
            self.rows += 1
            if row >= len(self.state):
                self.room_for_rows(2 * len(self.state))
        self.slot[number, signal] = row
        self.signal_of_row[row] = signal
        self.patient_of_row[row] = number
        self.set_row_limits(row)
        return row

    def forget(self, number: int) -> None:
        """Delete a patient's channels, limits and everything else in the arrays: the next stay starts empty."""
        self.patient_limits[number] = {}
        self.charted[number] = []
        of_channels: tuple[dict[Any, Any], ...] = (
            self.claims, self.clocks, self.taken, self.past, self.others, self.withheld,
        )  # fmt: skip
        for held in of_channels:
            for key in [key for key in held if key[0] == number]:
                del held[key]
        self.ended = {key: alarm for key, alarm in self.ended.items() if key[0] != number}
        self.notices.pop(number, None)
        self.unsettled = {key for key in self.unsettled if key[0] != number}
        for signal in range(len(SIGNALS)):
            row = int(self.slot[number, signal])
            if row >= 0:
                for name in ROWS:
                    getattr(self, name)[row] = BLANK[name]
                self.models.forget("channel", row)
                self.slot[number, signal] = -1
                self.free.append(row)
        for name in KEPT_PATIENTS:
            getattr(self, name)[number] = BLANK[name]
        self.models.forget("patient", number)
        self.rules.forget(number)

    def empty_channel(self, row: int) -> None:
        """Reset a channel to the state before its first reading; its limits stay."""
        for name in OF_READINGS:
            getattr(self, name)[row] = BLANK[name]
        self.models.forget("channel", row)
        self.watch[row, layout.DIRTY] = 1.0
        self.set_row_limits(row)

    def recent_us(self, row: int) -> float:
        """How old a channel's newest reading may be on arrival and still describe the patient's present state."""
        return min(max(float(self.limit[row, layout.SILENCE]), layout.RECENT_LEAST_US), layout.RECENT_MOST_US)

    def limits_in_force(self, number: int, signal_code: int) -> tuple[dict[str, float], str]:
        """Limits of a channel by name (with the durations), and the most specific level that any of them comes from."""
        found = self.limit_layers(number, signal_code)
        return in_force(found)[0], found[-1].level

    def limit_layers(self, number: int, signal_code: int) -> list[Layer]:
        """What each level sets for a channel now, the most general first."""
        profile = self.profile(number)
        own = OwnLimits(self.patient_limits[number], profile.periods, profile.limits_set)
        minute = local_minute(self.rules.zone_of(profile.ward), self.time)
        return layers(SIGNALS[signal_code].name, profile.age, self.ward_settings(profile.ward), own, minute)

    def forget_row_limits(self) -> None:
        """A setting of wards has changed that rows of limits follow from."""
        self._row_limits.clear()

    def ward_settings(self, ward: str) -> dict[str, SetLimits]:
        """The commands that set the limits of a ward, by signal."""
        return {signal: command for (place, signal), command in self.ward_limits.items() if place == ward}

    def set_row_limits(self, row: int) -> None:
        """Write the limits in force into a channel's row."""
        code, number = int(self.signal_of_row[row]), int(self.patient_of_row[row])
        profile = self.profile(number)
        plain = not (self.patient_limits[number] or profile.periods or profile.alarms_off)
        key = (code, profile.ward, profile.age if plain else -1)
        known = self._row_limits.get(key) if plain else None
        if known is None:
            known = self._limits_of(number, code)
            if plain and not any(one.periods for one in self.ward_settings(profile.ward).values()):
                self._row_limits[key] = known
        self.limit[row], self.rate[row], self.judged[row, layout.CLEAR] = known
        self.warned[row, :, layout.WARNED_WANTED] = self.policies.of(profile.ward).precision_wanted

    def _limits_of(self, number: int, code: int) -> tuple[tuple[float, ...], tuple[float, ...], float]:
        """The rows of ``limit`` and ``rate`` for a channel, and after how many µs a limit's alarm ends."""
        signal = SIGNALS[code]
        force, _ = in_force(self.limit_layers(number, code))
        off = signal.name in self.profile(number).alarms_off
        bounds = (np.nan,) * 4 if off else tuple(force[name] for name in BOUNDS)
        rates = (np.nan,) * 2 if off else tuple(force.get(name, np.nan) / 60.0 for name in RATES)
        quality = self.policies.of(self.profile(number).ward).quality_below
        limits = (
            *bounds,
            signal.hysteresis,
            force["delay_s"] * 1e6,
            min(force["delay_s"], signal.critical_delay_s) * 1e6,
            signal.silence_s * 1e6,
        )
        return limits, (*rates, quality), force["clear_s"] * 1e6

    # -- blocks -------------------------------------------------------------------------------------------------

    def touch(self, number: int) -> None:
        """Mark a patient's block as changed since its last checkpoint."""
        self.dirty.add(number // BLOCK)

    def begin_catch_up(self, offset: int) -> None:
        """Before a record at ``offset`` after a restore: only blocks that have not processed it are live."""
        waiting = False
        for block, seen in enumerate(self.covered):
            behind = seen < offset
            waiting |= not behind
            self.live[block * BLOCK : (block + 1) * BLOCK] = 1 if behind else 0
        self.catching_up = waiting

    def finish_catch_up(self) -> None:
        """The log has been read to its end: all blocks are live."""
        self.live[: len(self.profiles)] = 1
        self.catching_up = False
        self.time = max(self.time, self.time_kept)

    def set_ward(self, offset: int, ward: SetWard) -> None:
        """Set whether a ward uses NEWS2, from the record at ``offset`` on."""
        self.wards.append((offset, ward))
        self.ward_scores[ward.ward] = ward.news2

    def set_ward_limits(self, offset: int, limits: SetLimits) -> None:
        """Set a ward's limits of one signal, from the record at ``offset`` on."""
        self.ward_changes.append((offset, limits))
        self._row_limits.clear()
        if limits_given(limits) or limits.periods:
            self.ward_limits[limits.ward, limits.signal] = limits
        else:
            self.ward_limits.pop((limits.ward, limits.signal), None)
