"""The state of all twins of one partition: numpy arrays with a row per channel and a row per patient.

A *channel* is one signal of one patient. Patients are numbered densely; ``slot[patient, signal]`` is the channel's row or
−1. Nothing here reads a clock or does I/O; ``step`` moves the bank, ``blocks`` cuts it for checkpoints.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from twins.alarms.conditions import CHANNEL_CONDITIONS
from twins.alarms.lifecycle import Alarm
from twins.alarms.limit_settings import default_limits, limits_given, of_signal
from twins.bank import layout
from twins.compiled.prefetch import aligned
from twins.models.channel import agreement, passage
from twins.models.registry import ChannelModel
from twins.records import Columns, Fact, Profile, Retract, SetLimits, SetWard
from twins.signals import SIGNALS

__all__ = ["BLOCK", "VERSION", "Bank", "Block", "Foundation"]

BLOCK = 64
"""Patients per checkpoint block."""
VERSION = 2
"""Of the columns of a channel's row in a checkpoint."""

_ROWS: dict[str, tuple[str, tuple[int, ...]]] = {
    "state": ("f8", (layout.STATE_WIDTH,)),
    "watch": ("f8", (layout.WATCH_WIDTH,)),
    "ring": ("f8", (layout.RING, 2)),
    "kept": ("f8", (2, layout.STATE_WIDTH)),
    "limit": ("f8", (layout.LIMIT_WIDTH,)),
    "judged": ("f8", (layout.JUDGED_WIDTH,)),
    "due": ("f8", (layout.HORIZONS * layout.SLOTS + 1,)),
    "foretold": ("f4", (layout.HORIZONS * layout.SLOTS, 2)),
    "stretch": ("f4", (layout.HORIZONS, 2)),
    "tried": ("u2", (layout.HORIZONS,)),
    "mark": ("f8", (layout.LIMIT_CONDITIONS, 2)),
    "shown": ("f8", (2,)),
    "phase": ("u1", (layout.CONDITIONS,)),
    "since": ("i8", (layout.CONDITIONS,)),
    "signal_of_row": ("u2", ()),
    "patient_of_row": ("i8", ()),
}
_PATIENTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "slot": ("i4", (len(SIGNALS),)),
    "active": ("u1", ()),
    "live": ("u1", ()),
    "pending": ("u1", ()),
    "begin": ("i8", ()),
    "writer": ("u4", (len(SIGNALS),)),
    "emitted": ("i8", ()),
    "oxygen": ("f8", ()),
    "oxygen_time": ("i8", ()),
    "consciousness": ("f8", ()),
    "consciousness_time": ("i8", ()),
    "device": ("f8", (3, 2)),
    "scale2": ("u1", ()),
    "unscored": ("u1", ()),
    "parts": ("i1", (7,)),
    "stale": ("u1", (7,)),
    "scored": ("i8", ()),
    "score_phase": ("u1", (3,)),
    "score_since": ("i8", (3,)),
    "score_told": ("i1", (2,)),
    "known_parts": ("i1", (7,)),
    "agreement": ("f8", (len(agreement.PAIRS), layout.AGREEMENT_WIDTH)),
}
_KEPT_ROWS = tuple(name for name in _ROWS if name != "patient_of_row")
_OF_READINGS = tuple(name for name in _ROWS if name not in ("limit", "signal_of_row", "patient_of_row"))
_KEPT_PATIENTS = tuple(name for name in _PATIENTS if name not in ("slot", "live"))
_FILL: dict[str, float] = {
    "slot": -1, "patient_of_row": -1, "oxygen": np.nan, "consciousness": np.nan, "device": np.nan, "parts": -1, "limit": np.nan,
    "mark": np.nan, "score_told": -1, "known_parts": -1,
}  # fmt: skip


class Clock(msgspec.Struct, kw_only=True):
    """What is known of the clock of a channel's sender: the range of its readings' ages (µs, ahead is below 0)."""

    first: int
    least: int
    most: int
    uploads: int = 0
    seen: int = 0
    told: bool = False


class Told(msgspec.Struct, kw_only=True):
    """An episode of the past as it was told: the condition's number, its limit, times in µs, values, count of changes.

    One that went on into readings of now is ``live``: it is not told, as its alarm is.
    """

    which: int
    limit: float
    onset: int
    end: int
    extreme: float
    first: float
    changes: int
    withdrawn: bool = False
    live: bool = False


class Past(msgspec.Struct, kw_only=True):
    """Late readings of a channel beyond a limit, by time; the episodes told of them, by id.

    ``began`` and ``changed``: when something untold first and last came, 0 where all is told.
    """

    readings: dict[int, float] = {}
    told: dict[str, Told] = {}
    began: int = 0
    changed: int = 0


class Others(msgspec.Struct):
    """The moments (µs) of a channel that belong to sources other than its first; before ``floor`` nobody can tell."""

    times: dict[int, int] = {}
    floor: int = 0


class Block(msgspec.Struct, tag="block"):
    """A checkpoint of up to ``BLOCK`` patients: everything needed to go on from ``offset``."""

    version: int
    partition: int
    number: int
    offset: int
    profiles: list[Profile]
    limits: list[dict[str, dict[str, float]]]
    alarms: list[tuple[int, str, int, Alarm]]
    rows: list[int]
    arrays: dict[str, bytes]
    models: dict[str, bytes]
    claims: list[tuple[int, int, list[tuple[int, int]]]] = []
    clocks: list[tuple[int, int, Clock]] = []
    taken: list[tuple[int, int, list[tuple[int, bool]]]] = []
    others: list[tuple[int, int, list[tuple[int, int]], int]] = []
    charted: list[list[str]] = []
    past: list[tuple[int, int, Past]] = []


class Foundation(msgspec.Struct, tag="foundation"):
    """What a partition knows that is no patient's: the log's time, ward limits, counts of readings by status."""

    version: int
    partition: int
    offset: int
    time: int
    ward_changes: list[tuple[int, SetLimits]]
    wards: list[tuple[int, SetWard]] = []


class Bank:
    """All twins of one partition; ``models`` are the site's additional channel models."""

    state: npt.NDArray[np.float64]
    watch: npt.NDArray[np.float64]
    ring: npt.NDArray[np.float64]
    kept: npt.NDArray[np.float64]
    limit: npt.NDArray[np.float64]
    mark: npt.NDArray[np.float64]
    judged: npt.NDArray[np.float64]
    shown: npt.NDArray[np.float64]
    due: npt.NDArray[np.float64]
    foretold: npt.NDArray[np.float32]
    stretch: npt.NDArray[np.float32]
    tried: npt.NDArray[np.uint16]
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

    def __init__(self, partition: int = 0, models: Iterable[ChannelModel] = ()) -> None:
        self.partition = partition
        self.models = tuple(models)
        self.model_state: dict[str, npt.NDArray[Any]] = {model.name: np.zeros(64, model.dtype) for model in self.models}
        self.index: dict[str, int] = {}
        self.profiles: list[Profile | None] = []
        self._alarms_off: set[int] = set()
        self.patient_limits: list[dict[str, dict[str, float]]] = []
        self.charted: list[list[str]] = []
        """By patient the ids of the newest facts, so that one sent again is known."""
        self.ward_limits: dict[tuple[str, str], SetLimits] = {}
        self.ward_changes: list[tuple[int, SetLimits]] = []
        """Where in the log each ward limit was set, as far back as a replay may begin."""
        self.ward_scores: dict[str, bool] = {}
        """Wards of which it was said whether they use NEWS2."""
        self.wards: list[tuple[int, SetWard]] = []
        """Where in the log that was said, as ``ward_changes``."""
        self.day = -1
        """Of the log's time, in days since 1970: ages were looked at on it."""
        self.alarms: dict[tuple[int, str, int], Alarm] = {}
        self.claims: dict[tuple[int, int], dict[int, int]] = {}
        """By patient and signal, the times that readings claimed and those at which they are filed; see ``arrival``."""
        self.clocks: dict[tuple[int, int], Clock] = {}
        """By patient and signal, senders whose clocks are not right."""
        self.taken: dict[tuple[int, int], dict[int, bool]] = {}
        self.others: dict[tuple[int, int], Others] = {}
        """By patient and signal, whose readings are not the first source's; see ``ownership``."""
        """By patient and signal, the times of readings that were wrong, and whether the filter could do without them."""
        self.past: dict[tuple[int, int], Past] = {}
        """By patient and signal, episodes of the past; see ``past``."""
        self.unsettled: set[tuple[int, int]] = set()
        """Those of them that are to be told."""
        self.filed: Columns | Fact | Retract | None = None
        """What the last record said, under the times at which it is filed."""
        self.time = 0
        self.time_kept = 0
        """Log time of the restored checkpoint: a replay begins before it."""
        self.time_kept_at = -1
        """Offset of that checkpoint."""
        self.rows = 0
        self.free: list[int] = []
        self.covered: list[int] = []
        """Offset each block has seen when it was restored; −1 for a block that starts with the log."""
        self.catching_up = False
        self.dirty: set[int] = set()
        self.scratch = np.zeros(passage.SCRATCH, np.float32)
        self.events = np.zeros((256, layout.EVENT_WIDTH))
        """Room for kernels to work in and to tell events; what it holds between calls means nothing."""
        for name, (dtype, shape) in _ROWS.items():
            setattr(self, name, _new(name, dtype, (64, *shape)))
        for name, (dtype, shape) in _PATIENTS.items():
            setattr(self, name, _new(name, dtype, (BLOCK, *shape)))

    # -- patients -----------------------------------------------------------------------------------------------

    def held(self) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.int64]]]:
        """Every array as far as it is in use, with the number of the patient each of its rows belongs to."""
        owners = self.patient_of_row[: self.rows]
        for name in _KEPT_ROWS:
            yield getattr(self, name)[: self.rows], owners
        for array in self.model_state.values():
            yield array[: self.rows], owners
        for name in _KEPT_PATIENTS:
            yield getattr(self, name)[: self.patients], np.arange(self.patients)

    @property
    def bytes_held(self) -> int:
        """What the channels and patients in use take in the arrays; names, profiles and alarms are not counted."""
        held = [(getattr(self, name), self.rows) for name in _ROWS] + [
            (array, self.rows) for array in self.model_state.values()
        ]
        held += [(getattr(self, name), self.patients) for name in _PATIENTS]
        return sum(count * (array.nbytes // len(array)) for array, count in held)

    @property
    def patients(self) -> int:
        """How many patient numbers are in use, holes included."""
        return len(self.profiles)

    def number(self, patient: str) -> int:
        """The patient's number, given now if there is none yet."""
        known = self.index.get(patient)
        if known is not None:
            return known
        number = next((at for at, held in enumerate(self.profiles) if held is None), -1) if self.catching_up else -1
        if number < 0:
            number = len(self.profiles)
            self._extend(number + 1)
        self.index[patient] = number
        self.profiles[number] = Profile(patient=patient, active=False)
        self.live[number] = 1
        return number

    def _extend(self, count: int) -> None:
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
        for name in _PATIENTS:
            setattr(self, name, _grown(name, getattr(self, name), count))

    def _room_for_rows(self, count: int) -> None:
        for name in _ROWS:
            setattr(self, name, _grown(name, getattr(self, name), count))
        for name, held in self.model_state.items():
            self.model_state[name] = _grown(name, held, count)

    def expect(self, patients: int, channels: int) -> None:
        """Make room for so many at once: growing by and by would copy everything several times."""
        if patients > len(self.active):
            self._room_for_patients(patients)
        if self.rows + channels > len(self.state):
            self._room_for_rows(self.rows + channels)

    def profile(self, number: int) -> Profile:
        """The profile of a patient's number."""
        profile = self.profiles[number]
        if profile is None:
            raise KeyError(number)
        return profile

    @property
    def with_alarms_off(self) -> list[int]:
        """Numbers of the live patients some of whose limit alarms are off."""
        return [number for number in self._alarms_off if self.live[number]]

    def note_alarms_off(self, number: int) -> None:
        """Look after a patient's profile changed whether some alarms are off."""
        profile = self.profiles[number]
        if profile is not None and profile.alarms_off:
            self._alarms_off.add(number)
        else:
            self._alarms_off.discard(number)

    # -- channels -----------------------------------------------------------------------------------------------

    def open_channel(self, number: int, signal: int) -> int:
        """The row of a channel, made if there is none."""
        row = int(self.slot[number, signal])
        if row >= 0:
            return row
        if self.free:
            row = self.free.pop()
        else:
            row = self.rows
            self.rows += 1
            if row >= len(self.state):
                self._room_for_rows(2 * len(self.state))
        self.slot[number, signal] = row
        self.signal_of_row[row] = signal
        self.patient_of_row[row] = number
        self.set_row_limits(row)
        return row

    def forget(self, number: int) -> None:
        """Forget a patient's channels, limits and all that the arrays hold: the next stay starts afresh."""
        self.patient_limits[number] = {}
        self.charted[number] = []
        for held in (self.claims, self.clocks, self.taken, self.past, self.others):
            for key in [key for key in held if key[0] == number]:
                del held[key]
        self.unsettled = {key for key in self.unsettled if key[0] != number}
        for signal in range(len(SIGNALS)):
            row = int(self.slot[number, signal])
            if row >= 0:
                for name in _ROWS:
                    getattr(self, name)[row] = _BLANK[name]
                for states in self.model_state.values():
                    states[row] = np.zeros((), states.dtype)
                self.slot[number, signal] = -1
                self.free.append(row)
        for name in _KEPT_PATIENTS:
            getattr(self, name)[number] = _BLANK[name]

    def empty_channel(self, row: int) -> None:
        """Let a channel be as before its first reading; its limits stay."""
        for name in _OF_READINGS:
            getattr(self, name)[row] = _BLANK[name]
        for states in self.model_state.values():
            states[row] = np.zeros((), states.dtype)
        self.watch[row, layout.DIRTY] = 1.0

    def recent_us(self, row: int) -> float:
        """How old a channel's newest reading may arrive and still say how the patient is."""
        return min(max(float(self.limit[row, layout.SILENCE]), layout.RECENT_LEAST_US), layout.RECENT_MOST_US)

    def limits_in_force(self, number: int, signal_code: int) -> tuple[dict[str, float], str]:
        """Limits of a channel by name (with ``delay_s``), and the level the most specific one comes from."""
        signal = SIGNALS[signal_code]
        force = default_limits(signal.name)
        origin = "default"
        there = self.profile(number).ward
        ward = of_signal(signal.name, lambda name: self.ward_given(there, name))
        own = of_signal(signal.name, self.patient_limits[number].get)
        for level, given in (("ward", ward), ("patient", own)):
            if given:
                force.update(given)
                origin = level
        return force, origin

    def ward_given(self, ward: str, signal: str) -> dict[str, float] | None:
        """What a ward sets for a signal by name; ``None`` where nothing."""
        command = self.ward_limits.get((ward, signal))
        return limits_given(command) if command else None

    def set_row_limits(self, row: int) -> None:
        """Write the limits in force into a channel's row."""
        code = int(self.signal_of_row[row])
        signal = SIGNALS[code]
        number = int(self.patient_of_row[row])
        force, _ = self.limits_in_force(number, code)
        off = signal.name in self.profile(number).alarms_off
        self.limit[row] = (
            *((np.nan,) * 4 if off else (force["critical_low"], force["low"], force["high"], force["critical_high"])),
            signal.hysteresis,
            force["delay_s"] * 1e6,
            min(force["delay_s"], signal.critical_delay_s) * 1e6,
            signal.silence_s * 1e6,
        )

    # -- blocks -------------------------------------------------------------------------------------------------

    def touch(self, number: int) -> None:
        """Mark a patient's block as changed since its last checkpoint."""
        self.dirty.add(number // BLOCK)

    def begin_catch_up(self, offset: int) -> None:
        """Before a record at ``offset`` after a restore: only blocks that have not seen it are live."""
        waiting = False
        for block, seen in enumerate(self.covered):
            behind = seen < offset
            waiting |= not behind
            self.live[block * BLOCK : (block + 1) * BLOCK] = 1 if behind else 0
        self.catching_up = waiting

    def finish_catch_up(self) -> None:
        """The log has been read to its end: every block is live."""
        self.live[: len(self.profiles)] = 1
        self.catching_up = False
        self.time = max(self.time, self.time_kept)

    def block(self, number: int, offset: int) -> Block:
        """A checkpoint of block ``number`` as of ``offset``."""
        first, last = number * BLOCK, min((number + 1) * BLOCK, len(self.profiles))
        slots = self.slot[first:last]
        # Rows in (patient, signal) order: the same state gives the same bytes wherever its rows happen to lie.
        order = slots[slots >= 0].astype(np.intp)
        arrays = {name: getattr(self, name).take(order, 0).tobytes() for name in _KEPT_ROWS}
        arrays |= {name: getattr(self, name)[first:last].tobytes() for name in _KEPT_PATIENTS}
        return Block(
            version=VERSION,
            partition=self.partition,
            number=number,
            offset=offset,
            profiles=[profile or Profile(patient="") for profile in self.profiles[first:last]],
            limits=self.patient_limits[first:last],
            alarms=sorted(
                ((n - first, condition, signal, alarm) for (n, condition, signal), alarm in self.alarms.items()
                 if first <= n < last), key=lambda item: item[:3],
            ),
            rows=(self.patient_of_row[order] - first).tolist(),
            arrays=arrays,
            models={name: held[order].tobytes() for name, held in self.model_state.items()},
            claims=sorted(
                (n - first, code, list(claims.items())) for (n, code), claims in self.claims.items() if first <= n < last
            ),
            clocks=sorted(
                ((n - first, code, clock) for (n, code), clock in self.clocks.items() if first <= n < last),
                key=lambda item: item[:2],
            ),
            others=sorted(
                (n - first, code, list(others.times.items()), others.floor)
                for (n, code), others in self.others.items() if first <= n < last
            ),
            taken=sorted(
                (n - first, code, list(taken.items())) for (n, code), taken in self.taken.items() if first <= n < last
            ),
            charted=self.charted[first:last],
            past=sorted(
                ((n - first, code, past) for (n, code), past in self.past.items() if first <= n < last),
                key=lambda item: item[:2],
            ),
        )  # fmt: skip

    def restore(self, block: Block) -> None:
        """Take over a checkpoint; blocks may come in any order, each once and before any record."""
        first, count = block.number * BLOCK, len(block.profiles)
        self.restore_patients(block, block.arrays)
        self._restore_happenings(block, first)
        if block.version == VERSION:
            self._restore_rows(block, first)
        else:
            self._begin_anew(block, first)
        self._vacate(range(first, first + count))

    def _restore_happenings(self, block: Block, first: int) -> None:
        """Alarms and what is known of senders' clocks, of those places where somebody is."""
        somebody = [profile is not None for profile in self.profiles[first:]]
        for owner, condition, code, alarm in block.alarms:
            if somebody[owner]:
                self.alarms[first + owner, condition, code] = alarm
        self.claims |= {(first + at, code): dict(claims) for at, code, claims in block.claims if somebody[at]}
        self.clocks |= {(first + at, code): clock for at, code, clock in block.clocks if somebody[at]}
        self.taken |= {(first + at, code): dict(taken) for at, code, taken in block.taken if somebody[at]}
        self.past |= {(first + at, code): past for at, code, past in block.past if somebody[at]}
        self.unsettled |= {(first + at, code) for at, code, past in block.past if somebody[at] and past.changed}
        for owner, code, times, floor in block.others:
            if somebody[owner]:
                self.others[first + owner, code] = Others(dict(times), floor)

    def _restore_rows(self, block: Block, first: int) -> None:
        rows = self._rows_of(block, first)
        for name in _KEPT_ROWS:
            if name not in block.arrays:
                continue  # what an older checkpoint does not know of is as at the beginning
            dtype, shape = _ROWS[name]
            getattr(self, name)[rows] = np.frombuffer(block.arrays[name], dtype).reshape(len(block.rows), *shape)
        for name, held in self.model_state.items():
            if name in block.models and len(block.models[name]) == len(block.rows) * held.dtype.itemsize:
                held[rows] = np.frombuffer(block.models[name], held.dtype)

    def restore_patients(self, block: Block, arrays: dict[str, bytes]) -> None:
        """Take over who is in a checkpoint, with those of its ``arrays`` that have a row a patient."""
        first, count = block.number * BLOCK, len(block.profiles)
        self._extend(first + count)
        self.covered[block.number] = block.offset
        for at, profile in enumerate(block.profiles):
            if profile.patient:
                self.index[profile.patient] = first + at
                # An earlier version did not say whether somebody else had the id before: what is older is not shown.
                profile.begin = profile.admitted if profile.begin < 0 else profile.begin
                self.begin[first + at] = profile.begin
                self.profiles[first + at] = profile
                self.patient_limits[first + at] = block.limits[at]
                self.charted[first + at] = block.charted[at] if block.charted else []
                self.live[first + at] = 1
                self.note_alarms_off(first + at)
        if not count:
            return
        for name in _KEPT_PATIENTS:
            if name in arrays:
                # Pairs of sources are only appended: what an older checkpoint does not know of is as at the beginning.
                kept = np.frombuffer(arrays[name], _PATIENTS[name][0]).reshape(count, -1)
                array = getattr(self, name)
                array.reshape(len(array), -1)[first : first + count, : kept.shape[1]] = kept
        if "known_parts" not in arrays and "parts" in arrays:
            self.known_parts[first : first + count] = self.parts[first : first + count]

    def _vacate(self, numbers: Iterable[int]) -> None:
        """Leave nothing where nobody is: an earlier version let in a patient without a name, who is none after a restart."""
        for number in numbers:
            if self.profiles[number] is None and (self.active[number] or (self.slot[number] >= 0).any()):
                self.forget(number)

    def _rows_of(self, block: Block, first: int) -> slice:
        """New rows for a block's channels, side by side; their limits come with the block."""
        rows = slice(self.rows, self.rows + len(block.rows))
        if rows.stop > len(self.state):
            self._room_for_rows(max(rows.stop, 2 * len(self.state)))
        numbers = first + np.array(block.rows, np.int64)
        self.slot[numbers, np.frombuffer(block.arrays["signal_of_row"], "u2")] = np.arange(rows.start, rows.stop)
        self.patient_of_row[rows] = numbers
        self.rows = rows.stop
        return rows

    def _begin_anew(self, block: Block, first: int) -> None:
        """Channels of a checkpoint whose rows mean something else: filters start afresh, active alarms stay to be ended."""
        for owner, condition, code, alarm in block.alarms:
            which = next((at for at, known in enumerate(CHANNEL_CONDITIONS) if known.name == condition), -1)
            if self.profiles[first + owner] is None:
                continue
            if code >= 0 and 0 <= which < layout.CONDITIONS and alarm.presence != "latched":
                row = self.open_channel(first + owner, code)
                self.phase[row, which] = layout.ON
                self.since[row, which] = alarm.onset

    def foundation(self, offset: int, committed: int = -1) -> Foundation:
        """A checkpoint of what belongs to no patient; a replay never begins before ``committed`` + 1."""
        newest: dict[tuple[str, str], int] = {}
        for at, limits in self.ward_changes:
            if at <= committed:
                newest[limits.ward, limits.signal] = at
        self.ward_changes = [
            (at, limits) for at, limits in self.ward_changes if at >= newest.get((limits.ward, limits.signal), -1)
        ]
        said = {ward.ward: at for at, ward in self.wards if at <= committed}
        self.wards = [(at, ward) for at, ward in self.wards if at >= said.get(ward.ward, -1)]
        return Foundation(1, self.partition, offset, self.time, self.ward_changes, self.wards)

    def restore_foundation(self, foundation: Foundation, committed: int) -> None:
        """Take over such a checkpoint as of ``committed``: later changes come again with the log."""
        self.time_kept, self.time_kept_at = foundation.time, foundation.offset
        for at, limits in foundation.ward_changes:
            if at <= committed:
                self.set_ward_limits(at, limits)
        for at, ward in foundation.wards:
            if at <= committed:
                self.set_ward(at, ward)

    def set_ward(self, offset: int, ward: SetWard) -> None:
        """Whether a ward uses NEWS2, from the record at ``offset`` on."""
        self.wards.append((offset, ward))
        self.ward_scores[ward.ward] = ward.news2

    def set_ward_limits(self, offset: int, limits: SetLimits) -> None:
        """A ward's limits of one signal from the record at ``offset`` on."""
        self.ward_changes.append((offset, limits))
        if limits_given(limits):
            self.ward_limits[limits.ward, limits.signal] = limits
        else:
            self.ward_limits.pop((limits.ward, limits.signal), None)


def _new(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    made = aligned(shape, dtype)
    if name in _FILL:
        made[...] = _FILL[name]
    return made


def _grown(name: str, array: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    grown = _new(name, array.dtype, (count, *array.shape[1:]))
    grown[: len(array)] = array
    return grown


_BLANK = {name: _new(name, dtype, (1, *shape))[0] for name, (dtype, shape) in (_ROWS | _PATIENTS).items()}
"""A row of each array as at the beginning; made once, as a ward that is admitted asks for it a thousand times."""
