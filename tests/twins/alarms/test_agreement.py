"""Heart rate against pulse rate: the bias is learned, a lasting difference is a technical alarm, and NEWS2 does not
jump.
"""

from itertools import pairwise

import msgspec
import numpy as np
import pytest

from streams.log.frame import as_record
from streams.recordings.recording import cut, read
from twins.alarms.lifecycle import Alarm
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.models.deterioration import model as deterioration
from twins.models.deterioration.news2 import PARAMETERS
from twins.records import Admit, Columns, Discharge, Tick
from twins.step.dispatch import step

S = 1_000_000
T0 = 1_700_000_000 * S
HEART, PULSE = 0, 1


def frame(at, **values):
    """Heart rate and pulse rate, if given, measured and received at ``at`` seconds."""
    given = [(code, values[name]) for code, name in ((HEART, "heart"), (PULSE, "pulse")) if name in values]
    count = len(given)
    return as_record(
        Columns(
            ["p"], np.zeros(count, np.uint32), np.array([code for code, _ in given], np.uint16),
            np.full(count, T0 + int(at * S), np.int64), np.array([float(value) for _, value in given]),
        ),
        T0 + int(at * S),
    )  # fmt: skip


class Bedside:
    """One patient with two sensors, each with one reading a second."""

    def __init__(self):
        self.bank, self.log, self.transitions = Bank(), [], []
        self.take(Admit(patient="p", received=T0))

    def take(self, record):
        self.log.append(record)
        outcome = step(self.bank, record, len(self.log) - 1)
        self.transitions += [change for change in outcome.transitions if change.condition == "sensor.disagreement"]
        return outcome

    def run(self, begin, end, heart=80.0, pulse=80.0, every=1, noise=1.0):
        rng = np.random.default_rng(begin)
        for at in range(begin, end, every):
            h, p = np.round(np.array([heart, pulse]) + noise * rng.normal(size=2))
            self.take(frame(at, heart=h, pulse=p))

    @property
    def own(self):
        return self.bank.agreement[self.bank.index["p"], 0]

    def presences(self):
        return [change.presence for change in self.transitions]

    def pulse_input(self, at):
        value, _ = deterioration.inputs(self.bank, np.array([0]), T0 + at * S)
        return value[0, PARAMETERS.index("pulse")]


def test_a_lasting_difference_is_one_low_technical_alarm_that_names_both_values():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 220, pulse=40.0)
    assert bedside.presences() == ["on"]
    (alarm,) = bedside.transitions
    assert (alarm.kind, alarm.priority, alarm.signal, alarm.limit) == ("technical", "low", "pulse_rate", None)
    why = alarm.explanation["disagreement"]
    heart, pulse = why["sources"]
    assert (heart["signal"], pulse["signal"]) == ("heart_rate", "pulse_rate")
    assert heart["mean"] == pytest.approx(80, abs=2)
    assert pulse["mean"] == pytest.approx(40, abs=2)
    assert why["difference"] == pytest.approx(pulse["mean"] - heart["mean"], abs=0.01)
    assert why["bias"] == pytest.approx(0, abs=1)
    assert why["spread"] < 3
    assert why["allowed"] == 10.0


def test_a_disagreement_begins_after_60_s_and_ends_after_60_s_of_agreement():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 210, pulse=110.0)
    (begin,) = bedside.transitions
    assert 180 <= (begin.time - T0) / S <= 195
    bedside.run(210, 330)
    assert bedside.presences() == ["on", "off"]
    assert 270 <= (bedside.transitions[1].time - T0) / S <= 290
    bedside.run(330, 470)
    assert bedside.presences() == ["on", "off"]


def test_a_short_difference_raises_no_alarm_and_moves_no_bias():
    bedside = Bedside()
    bedside.run(1, 300)
    before = bedside.own[layout.G_BIAS]
    bedside.run(300, 310, pulse=115.0)
    bedside.run(310, 400)
    assert bedside.presences() == []
    assert bedside.own[layout.G_BIAS] == pytest.approx(before, abs=0.7)


@pytest.mark.parametrize("bias", [-4.0, 0.0, 3.0])
def test_a_usual_difference_is_learned(bias):
    bedside = Bedside()
    bedside.run(1, 900, pulse=80.0 + bias)
    assert bedside.own[layout.G_BIAS] == pytest.approx(bias, abs=0.5)
    assert bedside.presences() == []


def test_a_sensor_that_drifts_away_is_not_followed():
    bedside = Bedside()
    for minute in range(60):
        bedside.run(1 + 60 * minute, 61 + 60 * minute, pulse=80.0 - 0.7 * minute, every=2)
    assert bedside.own[layout.G_BIAS] >= -5.0
    assert bedside.presences() == ["on"]


def test_both_may_move_together_at_any_speed():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 200, heart=150.0, pulse=150.0)
    bedside.run(200, 300, heart=70.0, pulse=70.0)
    assert bedside.presences() == []


def test_one_source_alone_learns_no_bias():
    bedside = Bedside()
    for at in range(1, 60):
        bedside.take(frame(at, pulse=80))
    assert not bedside.own.any()
    assert bedside.pulse_input(60) == bedside.bank.state[bedside.bank.slot[0, PULSE], layout.M0]


def test_a_disagreement_ends_when_one_source_falls_silent():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 220, pulse=40.0)
    for at in range(220, 290):
        bedside.take(frame(at, heart=80))
        bedside.take(Tick(T0 + at * S))
    assert bedside.presences() == ["on", "off"]


def test_a_disagreement_ends_when_both_fall_silent():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 220, pulse=40.0)
    for at in range(220, 290):
        bedside.take(Tick(T0 + at * S))
    assert bedside.presences() == ["on", "off"]


def test_sparse_sources_need_three_pairs():
    bedside = Bedside()
    bedside.run(60, 3000, every=60)
    bedside.run(3000, 3120, pulse=110.0, every=60)
    assert bedside.presences() == []
    bedside.run(3120, 4000, pulse=110.0, every=60)
    assert bedside.presences() == ["on"]


def test_news2_does_not_jump_between_sources_that_differ():
    bedside = Bedside()
    seen = []
    for at in range(1, 1200):
        bedside.take(frame(at, heart=89 + at % 3 - 1))
        bedside.take(frame(at + 0.5, pulse=93 + at % 3 - 1))
        seen.append((bedside.pulse_input(at), bedside.bank.state[0, layout.M0]))
    used, heart = np.array(seen[600:]).T
    assert np.abs(used - heart).max() < 1.0
    assert bedside.bank.state[1, layout.M0] - bedside.bank.state[0, layout.M0] > 3.0


def test_news2_takes_the_heart_rate_while_they_disagree():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 220, pulse=40.0)
    bedside.take(frame(220.4, pulse=40))
    assert bedside.pulse_input(221) == bedside.bank.state[bedside.bank.slot[0, HEART], layout.M0]


def test_the_next_stay_starts_afresh():
    bedside = Bedside()
    bedside.run(1, 120, pulse=84.0)
    bedside.take(Discharge(patient="p", received=T0 + 120 * S))
    assert not bedside.own.any()


def test_a_replay_and_a_restore_give_the_same():
    bedside = Bedside()
    bedside.run(1, 120, pulse=83.0)
    bedside.run(120, 128, pulse=40.0)
    kept = msgspec.msgpack.encode(block_of(bedside.bank, 0, len(bedside.log) - 1))
    at = len(bedside.log)
    bedside.run(128, 240, pulse=40.0)
    restored = Bank()
    restore(restored, msgspec.msgpack.decode(kept, type=Block))
    changes = []
    for offset in range(at, len(bedside.log)):
        changes += step(restored, bedside.log[offset], offset).transitions
    found = [change for change in changes if change.condition == "sensor.disagreement"]
    assert [msgspec.json.encode(change) for change in found] == [
        msgspec.json.encode(change) for change in bedside.transitions
    ]
    assert bedside.presences() == ["on"]
    assert msgspec.msgpack.encode(block_of(restored, 0, at)) == msgspec.msgpack.encode(block_of(bedside.bank, 0, at))


def played(columns, seconds_a_frame=1):
    """Play a recording into a bank, in frames of so many seconds; returns all alarms and those of disagreement."""
    bank = Bank()
    log = [Admit(patient=name, received=int(columns.time[0])) for name in columns.patients]
    second = columns.time // (seconds_a_frame * S)
    edges = [0, *(np.flatnonzero(np.diff(second)) + 1).tolist(), len(second)]
    for first, last in pairwise(edges):
        part = cut(columns, first, last)
        log.append(as_record(part, int(part.time[-1])))
    changes = []
    for offset, record in enumerate(log):
        changes += step(bank, record, offset).transitions
    return changes


def test_the_sources_of_recorded_patients_agree(shared_recordings):
    recording = read(shared_recordings / "bidmc_numerics_1hz.csv.gz").of_signals(["heart_rate", "pulse_rate"])
    changes = played(recording.together().by_time().columns)
    assert [change.patient for change in changes if change.condition == "sensor.disagreement"] == []


def test_an_alarm_kept_in_a_checkpoint_is_still_an_alarm():
    bedside = Bedside()
    bedside.run(1, 120)
    bedside.run(120, 220, pulse=40.0)
    ((number, condition, code, alarm),) = [
        entry for entry in block_of(bedside.bank, 0, 0).alarms if entry[1] == "sensor.disagreement"
    ]
    assert (number, condition, code) == (0, "sensor.disagreement", PULSE)
    assert isinstance(alarm, Alarm)
