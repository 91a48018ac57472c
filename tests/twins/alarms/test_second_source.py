"""Two oximeters on one patient: the bias between them is learned, a lasting difference is a technical alarm, no jump."""

import msgspec
import numpy as np
import pytest

from streams.log.frame import as_record
from twins.alarms.agreement import PAIRS, PLACE
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.models.deterioration import model as deterioration
from twins.models.deterioration.news2 import PARAMETERS
from twins.records import Admit, Columns, SetLimits
from twins.signals import BY_NAME
from twins.step.dispatch import step

S = 1_000_000
T0 = 1_700_000_000 * S
FIRST, SECOND = BY_NAME["oxygen_saturation"].code, BY_NAME["second_oxygen_saturation"].code
PAIR = PLACE["second_oxygen_saturation"]


class Bedside:
    """One patient with two oximeters, each with one reading a second."""

    def __init__(self):
        self.bank, self.log, self.transitions = Bank(), [], []
        self.take(Admit(patient="p", ward="A", received=T0))

    def take(self, record):
        self.log.append(record)
        self.transitions += step(self.bank, record, len(self.log) - 1).transitions

    def measure(self, at, **values):
        """Readings of ``first`` and ``second``, if given."""
        given = [(code, values[name]) for code, name in ((FIRST, "first"), (SECOND, "second")) if name in values]
        count = len(given)
        codes = np.array([code for code, _ in given], np.uint16)
        readings = np.array([float(value) for _, value in given])
        time = np.full(count, T0 + int(at * S), np.int64)
        self.take(as_record(Columns(["p"], np.zeros(count, np.uint32), codes, time, readings), T0 + int(at * S)))

    def run(self, begin, end, first, second, noise=0.5):
        rng = np.random.default_rng(begin)
        for at in range(begin, end):
            pair = np.minimum(np.round(np.array([first, second]) + noise * rng.normal(size=2)), 100.0)
            self.measure(at, first=pair[0], second=pair[1])

    @property
    def own(self):
        return self.bank.agreement[self.bank.index["p"], PAIR]

    @property
    def bias(self):
        return self.own[layout.G_BIAS]

    def mean(self, code):
        return self.bank.state[self.bank.slot[0, code], layout.M0]

    def disagreements(self):
        return [change for change in self.transitions if change.condition == "sensor.disagreement"]

    def saturation(self, at):
        """The saturation that NEWS2 uses."""
        value, _ = deterioration.inputs(self.bank, np.array([0]), T0 + at * S)
        return value[0, PARAMETERS.index("oxygen_saturation")]


@pytest.mark.parametrize("bias", [-2.0, 2.0])
def test_a_constant_bias_is_learned_and_neither_channel_moves(bias):
    bedside = Bedside()
    seen = []
    for at in range(1, 900):
        bedside.run(at, at + 1, 95.0, 95.0 + bias)
        seen.append((bedside.mean(FIRST), bedside.mean(SECOND)))
    assert bedside.bias == pytest.approx(bias, abs=0.4)
    assert bedside.transitions == []
    first, second = np.array(seen[60:]).T
    assert np.abs(first - 95.0).max() < 1.0
    assert np.abs(second - 95.0 - bias).max() < 1.0


def test_a_probe_off_for_two_minutes_is_one_low_technical_alarm_that_ends():
    bedside = Bedside()
    bedside.run(1, 600, 96.0, 98.0)
    bedside.run(600, 720, 96.0, 90.0)
    (begin,) = bedside.disagreements()
    assert (begin.presence, begin.kind, begin.priority) == ("on", "technical", "low")
    assert begin.signal == "second_oxygen_saturation"
    assert 660 <= (begin.time - T0) / S <= 690
    why = begin.explanation["disagreement"]
    assert [source["signal"] for source in why["sources"]] == ["oxygen_saturation", "second_oxygen_saturation"]
    assert why["sources"][1]["value"] == pytest.approx(90.0, abs=1.5)
    assert why["difference"] - why["bias"] < -4.0
    assert why["bias"] == pytest.approx(2.0, abs=0.5)
    assert why["allowed"] == pytest.approx(4.0, abs=0.5)
    bedside.run(720, 880, 96.0, 98.0)
    assert [change.presence for change in bedside.disagreements()] == ["on", "off"]
    assert bedside.bias == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize("fall", [5.0, 7.0, 9.0, 12.0])
def test_a_sudden_fall_of_both_is_no_disagreement(fall):
    bedside = Bedside()
    bedside.run(1, 600, 98.0, 96.0)
    bedside.run(600, 720, 98.0 - fall, 96.0 - fall)
    bedside.run(720, 840, 98.0, 96.0)
    assert bedside.disagreements() == []
    assert bedside.bias == pytest.approx(-2.0, abs=0.4)


def test_a_source_that_drifts_away_is_not_followed():
    bedside = Bedside()
    for minute in range(90):
        bedside.run(1 + 60 * minute, 61 + 60 * minute, 97.0, 97.0 - 0.1 * minute)
    assert bedside.bias >= -2.0
    (begin,) = bedside.disagreements()
    assert begin.explanation["disagreement"]["difference"] == pytest.approx(-6.2, abs=0.7)


def test_news2_uses_the_scale_of_the_first_source_and_does_not_jump():
    bedside = Bedside()
    bedside.run(1, 900, 93.0, 91.0)
    for at in range(900, 960):
        bedside.measure(at, first=93)
        by_first = bedside.saturation(at)
        bedside.measure(at + 0.5, second=91)
        assert bedside.saturation(at + 1) == pytest.approx(by_first, abs=0.7)
    assert bedside.mean(FIRST) - bedside.mean(SECOND) > 1.5


def test_news2_takes_the_first_alone_while_they_disagree():
    bedside = Bedside()
    bedside.run(1, 600, 96.0, 96.0)
    bedside.run(600, 720, 96.0, 86.0)
    bedside.measure(720.5, second=86)
    assert bedside.own[layout.G_PHASE] == layout.ON
    assert bedside.saturation(721) == bedside.mean(FIRST)


def test_news2_takes_a_second_source_without_a_first():
    bedside = Bedside()
    for at in range(1, 30):
        bedside.measure(at, second=94)
    assert bedside.saturation(30) == bedside.mean(SECOND)
    assert not bedside.own.any()


def test_readings_at_the_end_of_the_range_only_bound_the_bias():
    bedside = Bedside()
    bedside.run(1, 900, 96.0, 94.0)
    bedside.run(900, 2700, 100.0, 100.0, noise=0.0)
    assert bedside.bias <= -1.2
    bedside.run(2700, 2800, 93.0, 91.0)
    assert bedside.disagreements() == []
    assert bedside.saturation(2800) == pytest.approx(93.0, abs=1.0)


def test_a_source_that_falls_from_the_end_of_the_range_disagrees():
    bedside = Bedside()
    bedside.run(1, 600, 100.0, 100.0, noise=0.0)
    bedside.run(600, 720, 100.0, 93.0)
    assert [change.presence for change in bedside.disagreements()] == ["on"]


def test_both_pairs_of_a_patient_are_judged_separately():
    bedside = Bedside()
    codes = np.array([0, 1, FIRST, SECOND], np.uint16)
    for at in range(1, 300):
        off = 40.0 if at > 200 else 0.0
        values = np.array([80.0 + at % 3, 80.0 + at % 2 + off, 96.0 + at % 2, 97.0 + at % 2 - 0.25 * off])
        columns = Columns(["p"], np.zeros(4, np.uint32), codes, np.full(4, T0 + at * S, np.int64), values)
        bedside.take(as_record(columns, T0 + at * S))
    assert [change.signal for change in bedside.disagreements()] == ["pulse_rate", "second_oxygen_saturation"]


def test_a_second_source_without_limits_of_its_own_has_those_of_the_first():
    bedside = Bedside()
    bedside.run(1, 5, 96.0, 96.0)
    row = bedside.bank.slot[0, SECOND]

    def low():
        return bedside.bank.limit[row, layout.LOW]

    assert low() == 90.0
    bedside.take(SetLimits(ward="A", signal="oxygen_saturation", low=88.0, received=T0 + 5 * S))
    assert low() == 88.0
    bedside.take(SetLimits(patient="p", signal="oxygen_saturation", low=86.0, received=T0 + 6 * S))
    assert low() == 86.0
    bedside.take(SetLimits(patient="p", signal="second_oxygen_saturation", low=87.0, received=T0 + 7 * S))
    assert (low(), bedside.bank.limit[bedside.bank.slot[0, FIRST], layout.LOW]) == (87.0, 86.0)
    bedside.take(SetLimits(patient="p", signal="second_oxygen_saturation", received=T0 + 8 * S))
    assert low() == 86.0


def test_a_checkpoint_that_knows_one_pair_restores_with_its_filters():
    bedside = Bedside()
    bedside.run(1, 120, 96.0, 94.0)
    bedside.bank.agreement[0, 0, layout.G_BIAS] = 1.5
    block = msgspec.msgpack.decode(msgspec.msgpack.encode(block_of(bedside.bank, 0, 120)), type=Block)
    kept = np.frombuffer(block.arrays["agreement"]).reshape(1, len(PAIRS), layout.AGREEMENT_WIDTH)
    block.arrays["agreement"] = kept[:, 0].tobytes()
    restored = Bank()
    restore(restored, block)
    assert restored.agreement[0, 0].tobytes() == kept[0, 0].tobytes()
    assert not restored.agreement[0, 1:].any()
    assert (
        restored.state[restored.slot[0, SECOND]].tobytes() == bedside.bank.state[bedside.bank.slot[0, SECOND]].tobytes()
    )


def test_a_restore_changes_nothing():
    bedside = Bedside()
    bedside.run(1, 300, 96.0, 94.0)
    bedside.run(300, 308, 96.0, 86.0)
    block = msgspec.msgpack.decode(msgspec.msgpack.encode(block_of(bedside.bank, 0, len(bedside.log) - 1)), type=Block)
    at = len(bedside.log)
    bedside.run(308, 440, 96.0, 86.0)
    restored = Bank()
    restore(restored, block)
    for offset in range(at, len(bedside.log)):
        step(restored, bedside.log[offset], offset)
    assert restored.agreement[0].tobytes() == bedside.bank.agreement[0].tobytes()
    assert [change.presence for change in bedside.disagreements()] == ["on"]
