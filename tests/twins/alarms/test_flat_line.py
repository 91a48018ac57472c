"""A value that never changes is a sensor fault: the quality falls, and the alarm has the reason."""

import msgspec
import numpy as np
import pytest

from streams.log.frame import as_record
from streams.recordings.recording import cut, read
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.records import Admit, Columns, Status
from twins.signals import BY_NAME, SIGNALS
from twins.step.dispatch import step

S = 1_000_000
T0 = 1_700_000_000 * S


class Channel:
    """One signal of one patient, with one frame of readings at a time."""

    def __init__(self, signal):
        self.signal, self.bank, self.log, self.transitions = BY_NAME[signal], Bank(), [], []
        self.take(Admit(patient="p", received=T0))

    def take(self, record):
        self.log.append(record)
        outcome = step(self.bank, record, len(self.log) - 1)
        self.transitions += [change for change in outcome.transitions if change.condition == "sensor.fault"]
        return outcome

    def read(self, times, values, received=None):
        """Readings at ``times`` seconds, each when it is measured, or all in one frame that arrives at ``received``."""
        if received is None:
            halves = np.asarray(times) // 30
            if halves[0] != halves[-1]:
                values = np.broadcast_to(np.asarray(values, float), len(times))
                for half in np.unique(halves):
                    outcome = self.read(np.asarray(times)[halves == half], values[halves == half])
                return outcome
        count = len(times)
        when = T0 + (np.asarray(times) * S).astype(np.int64)
        return self.take(
            as_record(
                Columns(
                    ["p"], np.zeros(count, np.uint32), np.full(count, self.signal.code, np.uint16), when,
                    np.broadcast_to(np.asarray(values, float), count).copy(),
                ),
                int(when[-1]) if received is None else T0 + received * S,
            )
        )  # fmt: skip

    def presences(self):
        return [change.presence for change in self.transitions]

    @property
    def quality(self):
        return self.bank.state[0, layout.QUALITY]


def lively(signal, begin, end, every):
    times = np.arange(begin, end, every)
    values = {"heart_rate": 80, "glucose": 120, "arterial_mean_bp": 80, "oxygen_saturation": 100}.get(signal, 30)
    return times, values + (np.arange(len(times)) % 3)


@pytest.mark.parametrize(
    ("signal", "value", "every"), [("heart_rate", 80, 1), ("arterial_mean_bp", 81, 2), ("glucose", 120, 300)]
)
def test_a_flat_line_lowers_the_quality_and_is_a_fault_until_the_value_changes(signal, value, every):
    channel = Channel(signal)
    times, values = lively(signal, every, 40 * every, every)
    channel.read(times, values)
    flat_s = int(channel.signal.flat_s)
    begin = 40 * every
    channel.read(np.arange(begin, begin + flat_s, every), value)
    assert channel.presences() == []
    assert channel.quality > 0.9
    channel.read(np.arange(begin + flat_s, begin + flat_s + 60 * every, every), value)
    (begins,) = channel.transitions
    why = begins.explanation["fault"]
    assert why["reason"] == "flat"
    assert why["flat_s"] == pytest.approx(flat_s, abs=2 * every)
    assert channel.quality < 0.01
    channel.read([begin + flat_s + 60 * every], value + 1)
    assert channel.presences() == ["on", "off"]
    channel.read(*lively(signal, begin + flat_s + 61 * every, begin + flat_s + 120 * every, every))
    assert channel.presences() == ["on", "off"]
    assert channel.quality > 0.9


@pytest.mark.parametrize("signal", [signal.name for signal in SIGNALS if signal.filtered and not signal.flat_s])
def test_some_signals_may_stay_the_same_for_ever(signal):
    channel = Channel(signal)
    value = {
        "oxygen_saturation": 100,
        "second_oxygen_saturation": 100,
        "body_temperature": 37,
        "perfusion_index": 2,
    }.get(signal, 120)
    channel.read(np.arange(60, 86_400, 60), value)
    assert channel.presences() == []


def test_the_end_of_the_sensors_range_is_no_flat_line():
    channel = Channel("glucose")
    channel.read(*lively("glucose", 300, 9000, 300))
    channel.read(np.arange(9000, 60_000, 300), 401)
    assert channel.presences() == []


def test_a_silence_ends_a_flat_line_and_few_readings_make_none():
    channel = Channel("arterial_mean_bp")
    channel.read(np.arange(1, 500), 80)
    channel.read(np.arange(1000, 1500), 80)
    assert channel.presences() == []
    sparse = Channel("arterial_mean_bp")
    sparse.read(np.arange(100, 1500, 100), 80)
    assert sparse.presences() == []


def test_a_late_value_that_differs_ends_a_flat_line():
    channel = Channel("arterial_mean_bp")
    channel.read(np.arange(1, 595), 80)
    outcome = channel.read([590.5], 83, received=595)
    assert list(outcome.status) == [Status.INSERTED]
    channel.read(np.arange(595, 1100), 80)
    assert channel.presences() == []


def test_each_fault_has_its_reason():
    channel = Channel("heart_rate")
    channel.read(*lively("heart_rate", 1, 60, 1))
    channel.read(np.arange(60, 70), 0)
    channel.read(*lively("heart_rate", 70, 100, 1))
    channel.read(np.arange(100, 140), [160, 20, 200, 30] * 10)
    reasons = [change.explanation["fault"] for change in channel.transitions if change.presence == "on"]
    assert reasons == [{"reason": "implausible", "value": 0.0}, {"reason": "misfit"}]


def test_a_restore_in_the_middle_gives_the_same_future():
    channel = Channel("arterial_mean_bp")
    channel.read(np.arange(1, 400), 80)
    kept = msgspec.msgpack.encode(block_of(channel.bank, 0, len(channel.log) - 1))
    at = len(channel.log)
    channel.read(np.arange(400, 700), 80)
    restored = Bank()
    restore(restored, msgspec.msgpack.decode(kept, type=Block))
    changes = [c for o in range(at, len(channel.log)) for c in step(restored, channel.log[o], o).transitions]
    found = [change for change in changes if change.condition == "sensor.fault"]
    assert [msgspec.json.encode(change) for change in found] == [
        msgspec.json.encode(change) for change in channel.transitions
    ]
    assert channel.presences() == ["on"]
    assert msgspec.msgpack.encode(block_of(restored, 0, at)) == msgspec.msgpack.encode(block_of(channel.bank, 0, at))


@pytest.mark.parametrize(
    "name",
    [
        "bidmc_numerics_1hz",
        "hall2018_cgm",
        "stresspredict_wearable",
        pytest.param("mimic4_waveform_numerics", marks=pytest.mark.slow),
    ],
)
def test_no_recorded_patient_is_a_flat_line(shared_recordings, name):
    columns = read(shared_recordings / f"{name}.csv.gz").together().by_time().columns
    bank = Bank()
    for patient in columns.patients:
        step(bank, Admit(patient=patient, received=int(columns.time[0])), 0)
    reasons = set()
    for first in range(0, len(columns), 5_000):
        part = cut(columns, first, min(first + 5_000, len(columns)))
        changes = step(bank, as_record(part, int(part.time[-1])), 1).transitions
        reasons |= {change.explanation["fault"]["reason"] for change in changes if "fault" in change.explanation}
    assert "flat" not in reasons
