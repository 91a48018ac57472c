"""A bank divided into blocks for checkpoints, and restored from them."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from twins.alarms.active import Key
from twins.alarms.conditions import CHANNEL_CONDITIONS
from twins.alarms.lifecycle import Alarm
from twins.bank import layout
from twins.bank.arrays import KEPT_PATIENTS, KEPT_ROWS, PATIENTS, ROWS
from twins.bank.bank import BLOCK, Bank
from twins.bank.devices import devices_between
from twins.bank.memory import Clock, Others, Past, Withheld
from twins.models.registry import Level, Model
from twins.records import Notice, Profile, SetLimits, SetRules, Setting, SetWard, SetZone

__all__ = [
    "FOUNDATION_VERSION",
    "VERSION",
    "Block",
    "Foundation",
    "ModelState",
    "block_of",
    "foundation_of",
    "restore",
    "restore_foundation",
    "restore_patients",
]

VERSION = 2
"""Version of the columns of a channel's row in a checkpoint."""
FOUNDATION_VERSION = 1
"""Version of a checkpoint of what belongs to no patient."""
_STORED = {"forecasts": "foretold"}
"""Arrays whose name in a checkpoint is an earlier one."""


class ModelState(msgspec.Struct, array_like=True):
    """The rows of one of a site's models, in the order of a block's ``rows`` or ``profiles``, with the version."""

    version: int
    level: Level
    rows: bytes


class Block(msgspec.Struct, tag="block"):
    """A checkpoint of up to ``BLOCK`` patients: everything that is needed to continue from ``offset``."""

    version: int
    partition: int
    number: int
    offset: int
    profiles: list[Profile]
    limits: list[dict[str, dict[str, float]]]
    alarms: list[tuple[int, str, int, Alarm]]
    rows: list[int]
    arrays: dict[str, bytes]
    models: dict[str, ModelState | bytes]
    """Bytes without a version were written by an earlier format of checkpoints: rows of channels."""
    claims: list[tuple[int, int, list[tuple[int, int]]]] = []
    clocks: list[tuple[int, int, Clock]] = []
    taken: list[tuple[int, int, list[tuple[int, bool]]]] = []
    others: list[tuple[int, int, list[tuple[int, int]], int]] = []
    charted: list[list[str]] = []
    past: list[tuple[int, int, Past]] = []
    devices: list[tuple[int, str]] = []
    ended: list[tuple[int, str, int, Alarm]] = []
    rules: dict[str, bytes] = {}
    """States of the site's rules by the rule's key, see ``RuleStates.state_of``."""
    notices: list[tuple[int, list[Notice]]] = []
    withheld: list[tuple[int, str, int, Withheld]] = []


class Foundation(msgspec.Struct, tag="foundation"):
    """The part of a partition that belongs to no patient: the log's time, ward limits, counts of readings by status."""

    version: int
    partition: int
    offset: int
    time: int
    ward_changes: list[tuple[int, SetLimits]]
    wards: list[tuple[int, SetWard]] = []
    rules: list[tuple[int, SetRules]] = []
    zones: list[tuple[int, SetZone]] = []
    settings: list[tuple[int, Setting]] = []


def block_of(bank: Bank, number: int, offset: int) -> Block:
    """A checkpoint of block ``number`` as of ``offset``."""
    first, last = number * BLOCK, min((number + 1) * BLOCK, len(bank.profiles))
    slots = bank.slot[first:last]
    # Rows are in (patient, signal) order: the same state gives the same bytes, wherever its rows are in memory.
    order = slots[slots >= 0].astype(np.intp)
    arrays = {_STORED.get(name, name): getattr(bank, name).take(order, 0).tobytes() for name in KEPT_ROWS}
    arrays |= {name: getattr(bank, name)[first:last].tobytes() for name in KEPT_PATIENTS}
    return Block(
        version=VERSION,
        partition=bank.partition,
        number=number,
        offset=offset,
        profiles=[profile or Profile(patient="") for profile in bank.profiles[first:last]],
        limits=bank.patient_limits[first:last],
        alarms=_alarms_of(bank.alarms, first, last),
        rows=(bank.patient_of_row[order] - first).tolist(),
        arrays=arrays,
        models={
            model.name: ModelState(
                model.version, model.level,
                bank.models.state[model.name][order if model.level == "channel" else slice(first, last)].tobytes(),
            )
            for model in bank.models
        },
        claims=sorted(
            (n - first, code, list(claims.items())) for (n, code), claims in bank.claims.items() if first <= n < last
        ),
        clocks=sorted(
            ((n - first, code, clock) for (n, code), clock in bank.clocks.items() if first <= n < last),
            key=lambda item: item[:2],
        ),
        others=sorted(
            (n - first, code, list(others.times.items()), others.floor)
            for (n, code), others in bank.others.items() if first <= n < last
        ),
        taken=sorted(
            (n - first, code, list(taken.items())) for (n, code), taken in bank.taken.items() if first <= n < last
        ),
        charted=bank.charted[first:last],
        past=sorted(
            ((n - first, code, past) for (n, code), past in bank.past.items() if first <= n < last),
            key=lambda item: item[:2],
        ),
        ended=_alarms_of(bank.ended, first, last),
        devices=devices_between(bank, first, last),
        rules=bank.rules.state_of(slice(first, last)),
        notices=[(n - first, bank.notices[n]) for n in range(first, last) if n in bank.notices],
        withheld=sorted(
            ((n - first, name, code, one) for (n, name, code), one in bank.withheld.items() if first <= n < last),
            key=lambda item: item[:3],
        ),
    )  # fmt: skip


def _alarms_of(alarms: dict[Key, Alarm], first: int, last: int) -> list[tuple[int, str, int, Alarm]]:
    """Alarms of patients ``first`` to ``last``, numbered from the first, in the order of their keys."""
    found = ((n - first, family, code, alarm) for (n, family, code), alarm in alarms.items() if first <= n < last)
    return sorted(found, key=lambda item: item[:3])


def restore(bank: Bank, block: Block) -> None:
    """Restore a checkpoint; blocks may come in any order, each once and before any record."""
    first, count = block.number * BLOCK, len(block.profiles)
    restore_patients(bank, block, block.arrays)
    _restore_happenings(bank, block, first)
    bank.rules.restore(first, count, block.rules)
    for model in bank.models:
        if model.level == "patient":
            _restore_model(bank, block, model, slice(first, first + count))
    if block.version == VERSION:
        _restore_rows(bank, block, first)
    else:
        _begin_anew(bank, block, first)
    _vacate(bank, range(first, first + count))


def _restore_happenings(bank: Bank, block: Block, first: int) -> None:
    """Alarms and what is known about senders' clocks, for places that are in use."""
    somebody = [profile is not None for profile in bank.profiles[first:]]
    for owner, condition, code, alarm in block.alarms:
        if somebody[owner]:
            bank.alarms[first + owner, condition, code] = alarm
    for owner, condition, code, alarm in sorted(block.ended, key=lambda item: item[3].ended):
        if somebody[owner]:
            bank.ended[first + owner, condition, code] = alarm
    bank.notices |= {first + owner: notices for owner, notices in block.notices if somebody[owner]}
    bank.withheld |= {(first + at, name, code): one for at, name, code, one in block.withheld if somebody[at]}
    bank.claims |= {(first + at, code): dict(claims) for at, code, claims in block.claims if somebody[at]}
    bank.clocks |= {(first + at, code): clock for at, code, clock in block.clocks if somebody[at]}
    bank.taken |= {(first + at, code): dict(taken) for at, code, taken in block.taken if somebody[at]}
    bank.past |= {(first + at, code): past for at, code, past in block.past if somebody[at]}
    bank.unsettled |= {(first + at, code) for at, code, past in block.past if somebody[at] and past.changed}
    for owner, code, times, floor in block.others:
        if somebody[owner]:
            bank.others[first + owner, code] = Others(dict(times), floor)


def _restore_rows(bank: Bank, block: Block, first: int) -> None:
    rows = _rows_of(bank, block, first)
    for name in KEPT_ROWS:
        stored = _STORED.get(name, name)
        if stored not in block.arrays:
            continue  # what an older checkpoint does not contain keeps its initial value
        dtype, shape = ROWS[name]
        kept = np.frombuffer(block.arrays[stored], dtype)
        if name == "judged" and len(kept) < len(block.rows) * shape[0]:
            kept = _with_setting(kept.reshape(len(block.rows), -1), bank.signal_of_row[rows])
        getattr(bank, name)[rows] = kept.reshape(len(block.rows), *shape)
    if "warned" not in block.arrays:
        for row in range(rows.start, rows.stop):
            bank.set_row_limits(row)  # of an earlier version, which knew fewer limits
    for model in bank.models:
        if model.level == "channel":
            _restore_model(bank, block, model, rows)


def _with_setting(judged: npt.NDArray[Any], codes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows of an earlier version, which did not have the time after which a limit's condition ends: the default."""
    return np.column_stack([judged, layout.PARAMETERS[codes, layout.A_CLEAR]])


def _restore_model(bank: Bank, block: Block, model: Model, places: slice) -> None:
    """Write a model's rows, converted to its present version; rows that cannot be converted are reset."""
    kept = block.models.get(model.name)
    if kept is None:
        return
    if not isinstance(kept, ModelState):
        kept = ModelState(model.version, "channel", kept)
    try:
        bank.models.state[model.name][places] = _present(model, kept, places.stop - places.start)
    except Exception as error:  # noqa: BLE001 - whatever a site's model makes of it, the twins go on
        bank.models.begun.append((model.name, str(error)))


def _present(model: Model, kept: ModelState, count: int) -> npt.NDArray[Any]:
    """The rows in the model's present form; raises ``ValueError`` if they cannot be converted."""
    rows: npt.NDArray[Any] | None
    if kept.level != model.level:
        raise ValueError(f"the checkpoint has a state per {kept.level}, the model has one per {model.level}")
    if kept.version == model.version:
        if len(kept.rows) != count * model.dtype.itemsize:
            raise ValueError(f"the checkpoint of version {kept.version} has rows of another size")
        rows = np.frombuffer(kept.rows, model.dtype)
    else:
        rows = model.migrate(kept.version, kept.rows) if kept.rows else np.zeros(0, model.dtype)
    if rows is None:
        raise ValueError(f"version {model.version} cannot read what version {kept.version} wrote")
    if rows.dtype != model.dtype or len(rows) != count:
        raise ValueError(f"migrate from version {kept.version} gave {len(rows)} rows of {rows.dtype} for {count}")
    return rows


def restore_patients(bank: Bank, block: Block, arrays: dict[str, bytes]) -> None:
    """Restore the patients of a checkpoint, with those of its ``arrays`` that have one row per patient."""
    first, count = block.number * BLOCK, len(block.profiles)
    bank.extend(first + count)
    bank.covered[block.number] = block.offset
    bank.devices |= dict(block.devices)
    for at, profile in enumerate(block.profiles):
        if profile.patient:
            bank.index[profile.patient] = first + at
            # An earlier version did not store whether another patient had the id before, so nothing older is shown.
            profile.begin = profile.admitted if profile.begin < 0 else profile.begin
            bank.begin[first + at] = profile.begin
            bank.profiles[first + at] = profile
            bank.patient_limits[first + at] = block.limits[at]
            bank.charted[first + at] = block.charted[at] if block.charted else []
            bank.live[first + at] = 1
            bank.note_alarms_off(first + at)
    if not count:
        return
    for name in KEPT_PATIENTS:
        if name in arrays:
            # Pairs of sources are only appended: those that an older checkpoint does not contain keep their initial
            # values.
            kept = np.frombuffer(arrays[name], PATIENTS[name][0]).reshape(count, -1)
            array = getattr(bank, name)
            array.reshape(len(array), -1)[first : first + count, : kept.shape[1]] = kept
    if "known_parts" not in arrays and "parts" in arrays:
        bank.known_parts[first : first + count] = bank.parts[first : first + count]


def _vacate(bank: Bank, numbers: Iterable[int]) -> None:
    """Empty a place without a patient: an earlier version accepted a patient without a name, who is lost on a restart."""
    for number in numbers:
        if bank.profiles[number] is None and (bank.active[number] or (bank.slot[number] >= 0).any()):
            bank.forget(number)


def _rows_of(bank: Bank, block: Block, first: int) -> slice:
    """New adjacent rows for a block's channels; their limits come with the block."""
    rows = slice(bank.rows, bank.rows + len(block.rows))
    if rows.stop > len(bank.state):
        bank.room_for_rows(max(rows.stop, 2 * len(bank.state)))
    numbers = first + np.array(block.rows, np.int64)
    bank.slot[numbers, np.frombuffer(block.arrays["signal_of_row"], "u2")] = np.arange(rows.start, rows.stop)
    bank.patient_of_row[rows] = numbers
    bank.rows = rows.stop
    return rows


def _begin_anew(bank: Bank, block: Block, first: int) -> None:
    """Restore channels whose rows have another meaning: filters start again, active alarms stay until they end."""
    for owner, _, code, alarm in block.alarms:
        if bank.profiles[first + owner] is None or code < 0:
            continue
        for which, condition in enumerate(CHANNEL_CONDITIONS[: layout.CONDITIONS]):
            if condition.name in alarm.levels:
                row = bank.open_channel(first + owner, code)
                bank.phase[row, which] = layout.ON
                bank.since[row, which] = alarm.levels[condition.name].since
        for which in (layout.RATE_FALLING, layout.RATE_RISING, layout.LOW_QUALITY):
            if CHANNEL_CONDITIONS[which].name in alarm.levels:
                row = bank.open_channel(first + owner, code)
                bank.rate_phase[row, which - layout.RATE_FALLING] = layout.ON


def foundation_of(bank: Bank, offset: int, committed: int = -1) -> Foundation:
    """A checkpoint of what belongs to no patient; a replay never begins before ``committed`` + 1."""
    newest: dict[tuple[str, str], int] = {}
    for at, limits in bank.ward_changes:
        if at <= committed:
            newest[limits.ward, limits.signal] = at
    bank.ward_changes = [
        (at, limits) for at, limits in bank.ward_changes if at >= newest.get((limits.ward, limits.signal), -1)
    ]
    said = {ward.ward: at for at, ward in bank.wards if at <= committed}
    bank.wards = [(at, ward) for at, ward in bank.wards if at >= said.get(ward.ward, -1)]
    rules = bank.rules
    set_at = max((at for at, _ in rules.changes if at <= committed), default=-1)
    rules.changes = [(at, command) for at, command in rules.changes if at >= set_at]
    zoned = {zone.ward: at for at, zone in rules.zone_changes if at <= committed}
    rules.zone_changes = [(at, zone) for at, zone in rules.zone_changes if at >= zoned.get(zone.ward, -1)]
    bank.settings.forget_before(committed)
    return Foundation(
        FOUNDATION_VERSION, bank.partition, offset, bank.time, bank.ward_changes, bank.wards, rules.changes,
        rules.zone_changes, bank.settings.changes,
    )  # fmt: skip


def restore_foundation(bank: Bank, foundation: Foundation, committed: int) -> None:
    """Restore such a checkpoint as of ``committed``: later changes come again with the log."""
    bank.time_kept, bank.time_kept_at = foundation.time, foundation.offset
    settings: tuple[tuple[list[tuple[int, Any]], Callable[[int, Any], None]], ...] = (
        (foundation.ward_changes, bank.set_ward_limits),
        (foundation.wards, bank.set_ward),
        (foundation.zones, bank.rules.set_zone),
        (foundation.rules, bank.rules.set_rules),
        (foundation.settings, bank.settings.set),
    )
    for changes, put in settings:
        for at, command in changes:
            if at <= committed:
                put(at, command)
