"""Wrong clocks of senders hide nothing: readings are judged as they arrive, and the clock is an alarm."""

import msgspec
import numpy as np
import pytest

from streams.log.frame import as_record
from twins.alarms import agreement, limits
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.models.channel import late
from twins.models.deterioration import scoring as deterioration
from twins.records import Admit, Columns, Fact, Retract, Status, Tick
from twins.signals import BY_NAME
from twins.step import estimate_columns as statement
from twins.step import walk
from twins.step.dispatch import step
from twins.warm_up import warm

S = 1_000_000
T0 = 1_700_000_000 * S


class Bed:
    """One patient; readings arrive at a second and claim the second they are of. Ticks come every second."""

    def __init__(self):
        self.bank, self.log, self.transitions, self.scores, self.at = Bank(), [], [], [], 0
        self.take(Admit(patient="p", received=T0))

    def take(self, record):
        self.log.append(record)
        outcome = step(self.bank, record, len(self.log) - 1)
        self.transitions += outcome.transitions
        self.scores += outcome.scores
        self.estimates = outcome.estimates or getattr(self, "estimates", None)
        return outcome

    def until(self, at):
        while self.at < int(at):
            self.at += 1
            self.take(Tick(T0 + self.at * S))

    def send(self, at, *readings, received=None):
        """Readings (signal, value, seconds[, source]) in one upload that arrives at ``at``."""
        self.until(at)
        return self.take(
            as_record(
                Columns(
                    ["p"], np.zeros(len(readings), np.uint32),
                    np.array([BY_NAME[r[0]].code for r in readings], np.uint16),
                    np.array([T0 + round(r[2] * S) for r in readings]), np.array([float(r[1]) for r in readings]),
                ),
                T0 + round((at if received is None else received) * S),
                sources=["one", "other"] if any(len(r) > 3 for r in readings) else (),
                source=np.array([r[3] if len(r) > 3 else 0 for r in readings], np.uint16),
            )
        )  # fmt: skip

    def presences(self, condition):
        return [one.presence for one in self.transitions if one.condition == condition and not one.past]

    def row(self, signal):
        return int(self.bank.slot[0, BY_NAME[signal].code])

    def state(self, signal, field):
        return self.bank.state[self.row(signal), field]


def spo2(value, at, source=0):
    return ("oxygen_saturation", value, at, source)


def test_a_reading_from_ahead_does_not_hide_the_real_ones():
    bed = Bed()
    bed.send(1, spo2(97, 60))
    for at in range(2, 12):
        bed.send(at, spo2(70, at))
    (begins,) = [one for one in bed.transitions if one.condition == "limit.critical_low"]
    assert (begins.presence, begins.value) == ("on", 70.0)
    assert begins.time <= T0 + 8 * S
    assert bed.state("oxygen_saturation", layout.VALUE) == 70.0


@pytest.mark.parametrize("ahead", [0.5, 1.9, 59])
def test_a_second_sender_with_normal_values_does_not_silence_the_alarm(ahead):
    bed = Bed()
    for at in range(1, 40):
        bed.send(at, spo2(97, at + ahead))
        bed.send(at + 0.4, spo2(70, at + 0.3))
    assert bed.presences("limit.critical_low") == ["on"]
    assert bed.state("oxygen_saturation", layout.QUALITY) < 0.9
    assert bed.scores[-1].parts["oxygen_saturation"] == 3


def test_the_same_reading_repeated_by_a_second_sender_stays_one_reading():
    bed = Bed()
    bed.send(1, spo2(97, 60))
    for at in range(2, 90):
        bed.send(at, spo2(70, at))
        bed.send(at + 0.2, spo2(97, 60))
        if at < 10:
            assert bed.state("oxygen_saturation", layout.LAST) == T0 + at * S
        if 9 < at < 58:
            assert bed.presences("limit.critical_low") == ["on"]
    assert bed.presences("limit.critical_low")[-1] == "on"
    assert bed.presences("sensor.clock")[0] == "on"


def test_a_monitor_that_was_ahead_and_is_corrected_alarms_at_once():
    bed = Bed()
    for at in range(1, 60):
        bed.send(at, ("heart_rate", 80, at + 55))
    bed.send(60, ("heart_rate", 150, 60))
    for at in range(61, 70):
        bed.send(at, ("heart_rate", 150, at))
    assert bed.presences("limit.critical_high") == ["on"]
    assert next(one.time for one in bed.transitions if one.condition == "limit.critical_high") <= T0 + 66 * S
    assert bed.presences("sensor.clock") == ["on"]
    for at in range(70, 100):
        bed.send(at, ("heart_rate", 80, at))
    assert bed.presences("sensor.clock") == ["on", "off"]
    clock = next(one for one in bed.transitions if one.condition == "sensor.clock")
    assert (clock.kind, clock.priority, clock.signal) == ("technical", "low", "heart_rate")
    assert clock.explanation["clock"] == {"side": "ahead", "apart_s": 55.0}


def test_an_upload_from_ahead_keeps_its_intervals():
    bed = Bed()
    bed.send(30, *[("heart_rate", 80 + at, at + 40) for at in range(20, 31)])
    ring = bed.bank.ring[bed.row("heart_rate"), :11]
    assert ring[:, 0].tolist() == [T0 + at * S for at in range(20, 31)]
    assert ring[:, 1].tolist() == [80.0 + at for at in range(20, 31)]
    assert bed.bank.filed.time.max() == T0 + 30 * S


def test_a_clock_behind_beside_one_that_is_right_is_judged_too():
    bed = Bed()
    for at in range(1, 60):
        bed.send(at, spo2(97, at, 0))
        bed.send(at + 0.2, spo2(70, at - 40, 1))
    assert bed.presences("limit.critical_low") == ["on"]


def test_a_monitor_that_is_an_hour_behind_is_detected_and_judged():
    bed = Bed()
    for at in range(1, 120):
        bed.send(at, spo2(97, at - 3600))
    assert bed.presences("sensor.clock") == ["on"]
    clock = next(one for one in bed.transitions if one.condition == "sensor.clock")
    assert clock.explanation["clock"] == {"side": "behind", "apart_s": 3600.0}
    for at in range(120, 130):
        bed.send(at, spo2(70, at - 3600))
    assert bed.presences("limit.critical_low") == ["on"]
    for at in range(130, 180):
        bed.send(at, spo2(97, at))
    assert bed.presences("sensor.clock") == ["on", "off"]
    assert not bed.bank.clocks


def test_a_reading_from_ahead_is_retracted_and_corrected_by_its_claimed_time():
    bed = Bed()
    bed.send(1, ("heart_rate", 80, 1))
    bed.send(2, ("heart_rate", 30, 50))
    outcome = bed.send(12, ("heart_rate", 31, 50))
    assert outcome.status[0] == Status.CORRECTED
    assert bed.state("heart_rate", layout.VALUE) == 31.0
    bed.until(115)
    outcome = bed.send(115, ("heart_rate", 32, 50))
    assert outcome.status[0] == Status.CORRECTED
    outcome = bed.take(Retract(patient="p", signal="heart_rate", time=T0 + 50 * S, received=T0 + 116 * S))
    assert outcome.status[0] == Status.RETRACTED
    assert bed.bank.filed.time == T0 + 2 * S
    assert bed.state("heart_rate", layout.VALUE) == 80.0


def test_a_right_reading_at_a_time_that_another_claimed_is_separate():
    bed = Bed()
    bed.send(1, ("heart_rate", 80, 50))
    bed.send(50.5, ("heart_rate", 90, 50))
    assert bed.state("heart_rate", layout.COUNT) == 2
    assert bed.state("heart_rate", layout.LAST) == T0 + 50 * S
    bed.take(Retract(patient="p", signal="heart_rate", time=T0 + 50 * S, received=T0 + 51 * S))
    assert bed.state("heart_rate", layout.VALUE) == 80.0


def test_a_fact_charted_ahead_is_replaced_by_a_later_one():
    bed = Bed()
    bed.take(Fact(patient="p", kind="oxygen", time=T0 + 60 * S, value=0.0, received=T0 + S))
    assert bed.bank.filed.time == T0 + S
    bed.take(Fact(patient="p", kind="oxygen", time=T0 + 30 * S, value=4.0, received=T0 + 30 * S))
    assert bed.bank.oxygen[0] == 4.0


def test_a_spike_between_good_readings_is_no_alarm():
    bed = Bed()
    for at in range(1, 60):
        bed.send(at, ("heart_rate", 30 if at % 10 == 5 else 80, at))
    assert bed.presences("limit.critical_low") == []


def test_a_checkpoint_has_what_is_known_of_clocks():
    bed = Bed()
    for at in range(1, 30):
        bed.send(at, spo2(97, at + 30))
        bed.send(at + 0.5, ("heart_rate", 80, at - 1000))
    raw = msgspec.msgpack.encode(block_of(bed.bank, 0, len(bed.log) - 1))
    other = Bed()
    other.bank = Bank()
    restore(other.bank, msgspec.msgpack.decode(raw, type=Block))
    other.bank.finish_catch_up()
    other.bank.time, other.log, other.at = bed.bank.time, list(bed.log), bed.at
    outcomes = [
        [
            msgspec.msgpack.encode(one.send(at, spo2(70, at + 30), ("heart_rate", 150, at - 1000)))
            for at in range(30, 140)
        ]
        for one in (bed, other)
    ]
    assert outcomes[0] == outcomes[1]
    assert bed.bank.claims == other.bank.claims
    assert bed.presences("limit.critical_high") == ["on"]


@pytest.mark.parametrize("behind", [90, 290, 7200])
def test_a_clock_minutes_behind_beside_one_that_is_right_is_detected_and_judged(behind):
    bed = Bed()
    for at in range(1, 100):
        bed.send(at, spo2(97, at, 0))
        bed.send(at + 0.2, spo2(97 if at < 80 else 70, at - behind, 1))
    assert bed.presences("sensor.clock") == ["on"]
    assert bed.presences("limit.critical_low") == ["on"]


def test_a_cgm_whose_uploads_are_some_minutes_late_has_no_wrong_clock():
    bed = Bed()
    for at in range(300, 7200, 300):
        bed.send(at, ("glucose", 120, at - 280))
    assert bed.presences("sensor.clock") == []


def compiled():
    return {
        f"{module.__name__}.{name}": len(made.signatures)
        for module in (walk, late, limits, agreement, deterioration, statement)
        for name, made in vars(module).items()
        if hasattr(made, "signatures")
    }


def test_late_early_and_retracted_readings_compile_no_kernel():
    list(warm())
    before = compiled()
    bed = Bed()
    for at in range(1, 20):
        bed.send(at, ("heart_rate", 80, at), spo2(97, at + 30))
    bed.send(20, ("heart_rate", 30, 15), ("heart_rate", 30, -3600), ("heart_rate", 40, 12.5))
    bed.take(Retract(patient="p", signal="heart_rate", time=T0 + 15 * S, received=T0 + 21 * S))
    bed.until(30)
    assert compiled() == before


def test_of_two_senders_at_the_same_times_the_critical_one_alarms():
    bed = Bed()
    for at in range(1, 20):
        bed.send(at, spo2(97, at, 0), spo2(97, at, 1))
    assert bed.presences("limit.critical_low") == []
    for at in range(20, 30):
        bed.send(at, spo2(97, at, 0))
        bed.send(at + 0.2, spo2(70, at, 1))
    (begins,) = [one for one in bed.transitions if one.condition == "limit.critical_low"]
    assert (begins.presence, begins.value) == ("on", 70.0)
    assert bed.scores[-1].parts["oxygen_saturation"] == 3
