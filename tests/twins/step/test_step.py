"""Records in, outcomes out: alarms, emission, facts and commands; replay and restore give the same bits."""

import math

import msgspec
import numpy as np
import pytest

from streams.log.frame import as_record
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, Foundation, block_of, foundation_of, restore, restore_foundation
from twins.records import (
    Acknowledge,
    Admit,
    AlarmPolicy,
    Columns,
    Discharge,
    Fact,
    Move,
    Retract,
    SetAlarmPolicy,
    SetLimits,
    SetProfile,
    Status,
    Tick,
)  # fmt: skip
from twins.signals import BY_NAME
from twins.step.dispatch import step
from twins.step.estimates import complete

S = 1_000_000
T0 = 1_700_000_000 * S


def frame(at, *readings):
    """Readings (patient, signal, value[, seconds earlier]) received at ``at`` seconds."""
    patients = sorted({reading[0] for reading in readings})
    return as_record(
        Columns(
            patients,
            np.array([patients.index(r[0]) for r in readings], np.uint32),
            np.array([BY_NAME[r[1]].code for r in readings], np.uint16),
            np.array([T0 + int((at - (r[3] if len(r) > 3 else 0)) * S) for r in readings], np.int64),
            np.array([float(r[2]) for r in readings]),
        ),
        T0 + int(at * S),
    )


class Ward:
    """A bank with its log."""

    def __init__(self):
        self.bank = Bank()
        self.log = []
        self.outcomes = []
        self.take(Admit(patient="p", ward="A", received=T0))

    def take(self, record):
        self.log.append(record)
        outcome = step(self.bank, record, len(self.log) - 1)
        self.outcomes.append(outcome)
        return outcome

    def steady(self, begin, end, signal="heart_rate", value=80.0, patient="p"):
        for at in range(begin, end):
            self.take(frame(at, (patient, signal, value)))

    def presences(self, condition):
        return [
            transition.presence
            for outcome in self.outcomes
            for transition in outcome.transitions
            if transition.condition == condition
        ]


def test_a_limit_alarm_begins_after_its_delay_and_ends_beyond_the_hysteresis():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", high=100.0, by="ada", received=T0))
    ward.steady(1, 30)
    ward.steady(30, 60, value=103.0)
    ward.steady(60, 90, value=99.0)
    assert ward.presences("limit.high") == ["on"]
    ward.steady(90, 150, value=90.0)
    assert ward.presences("limit.high") == ["on"]  # it ends when the limit has not been passed for a minute
    ward.steady(150, 165, value=90.0)  # the first seconds did not fit the course
    assert ward.presences("limit.high") == ["on", "off"]
    (begin,) = [t for o in ward.outcomes for t in o.transitions if (t.condition, t.presence) == ("limit.high", "on")]
    assert begin.limit == 100.0
    assert begin.explanation["limit"] == {
        "bound": 100.0, "side": "high", "hysteresis": 2.0, "delay_s": 10.0, "clear_s": 60.0, "origin": "patient", "set_by": "ada",
        "set_at": T0 // 1000,
    }  # fmt: skip
    assert begin.explanation["observations"][-1] == [begin.time // 1000, 103.0]


def test_a_critical_limit_looks_at_the_reading_itself_even_when_the_filter_doubts_it():
    ward = Ward()
    ward.steady(1, 60)
    ward.steady(60, 66, value=160.0)
    statuses = [o.status[0] for o in ward.outcomes[-6:]]
    assert set(statuses[:5]) == {Status.GATED}
    assert ward.presences("limit.critical_high") == ["on"]


def test_a_latching_alarm_stays_until_acknowledged_and_only_that_one():
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 60, value=150.0)
    ward.steady(60, 135)
    assert ward.presences("limit.critical_high") == ["on", "latched"]
    (alarm,) = [a for a in ward.bank.alarms.values() if a.condition == "limit.critical_high"]
    others = len(ward.bank.alarms) - 1
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + 135 * S))
    assert ward.presences("limit.critical_high") == ["on", "latched", "off"]
    assert len(ward.bank.alarms) == others


def test_an_acknowledged_alarm_is_silent_until_the_condition_ends():
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 60, value=150.0)
    (alarm,) = [a for a in ward.bank.alarms.values() if a.condition == "limit.critical_high"]
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + 60 * S))
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", received=T0 + 61 * S))
    ward.steady(62, 135)
    assert ward.presences("limit.critical_high") == ["on", "acknowledged"]
    assert ward.presences("limit.high")[-2:] == ["acknowledged", "off"]  # it eased, then it ended


def test_silence_is_detected_on_ticks_and_ends_with_the_next_reading():
    ward = Ward()
    ward.steady(1, 30)
    for at in range(30, 60):
        ward.take(Tick(T0 + at * S))
    assert ward.presences("sensor.silent") == ["on"]
    ward.take(frame(61, ("p", "heart_rate", 80)))
    assert ward.presences("sensor.silent") == ["on", "off"]


def test_a_detached_sensor_is_a_technical_alarm_not_a_low_heart_rate():
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 45, value=0.0)
    assert ward.presences("sensor.fault") == ["on"]
    assert ward.presences("limit.critical_low") == []
    ward.steady(45, 60)
    assert ward.presences("sensor.fault") == ["on", "off"]


@pytest.mark.parametrize("wanted", [0.5, 0.9])
def test_a_steady_fall_alarms_before_the_limit_is_crossed(wanted):
    """It does if it is likely enough for the precision that is wanted, and says what became of earlier ones."""
    ward = Ward()
    ward.take(SetAlarmPolicy(policy=AlarmPolicy(precision_wanted=wanted)))
    for k in range(14):
        ward.take(frame(300 * (k + 1), ("p", "glucose", 180 - 8.0 * k)))
        if ward.presences("predicted.low"):
            break
    assert ward.presences("predicted.low") == ([] if wanted > 0.5 else ["on"])
    if wanted > 0.5:
        return
    assert 180 - 8.0 * k > 70
    assert ward.presences("limit.low") == []
    alarm = next(a for a in ward.bank.alarms.values() if a.condition == "predicted.low")
    made = alarm.explanation["forecast"]
    assert made["probability"] >= made["wanted"] == 0.5
    assert made["before"] == {"predictions": 0, "came_true": 0}


def test_news2_is_partial_until_everything_is_known_and_alarms_after_a_minute():
    ward = Ward()
    for at in range(1, 63):
        ward.take(frame(at, ("p", "heart_rate", 135), ("p", "respiratory_rate", 26), ("p", "oxygen_saturation", 93)))
    score = [s for o in ward.outcomes for s in o.scores][-1]
    assert score.total == 3 + 3 + 2
    assert score.partial
    assert "consciousness" in score.missing
    assert ward.presences("news2.high") == ["on"]
    ward.take(Fact(patient="p", kind="oxygen", time=T0 + 63 * S, value=2.0, received=T0 + 63 * S))
    ward.take(Fact(patient="p", kind="consciousness", time=T0 + 63 * S, value="A", received=T0 + 63 * S))
    ward.take(frame(64, ("p", "systolic_bp", 95), ("p", "body_temperature", 38.5)))
    ward.take(Tick(T0 + 66 * S))
    score = [s for o in ward.outcomes for s in o.scores][-1]
    assert (score.total, score.partial) == (8 + 2 + 2 + 1, False)


def test_scale_two_of_news2_counts_only_where_prescribed():
    ward = Ward()
    ward.take(Fact(patient="p", kind="oxygen", time=T0, value=0.0, received=T0))
    ward.take(frame(1, ("p", "oxygen_saturation", 90)))
    ward.take(Tick(T0 + 3 * S))
    assert [s for o in ward.outcomes for s in o.scores][-1].parts["oxygen_saturation"] == 3
    outcome = ward.take(SetProfile(patient="p", spo2_scale=2, received=T0 + 4 * S))
    assert outcome.scores[-1].parts["oxygen_saturation"] == 0


def test_estimates_go_out_at_once_and_then_once_a_second():
    ward = Ward()
    seen = [ward.take(frame(1 + k / 10, ("p", "heart_rate", 80))).estimates is not None for k in range(21)]
    assert [k for k, out in enumerate(seen) if out] == [0, 10, 20]
    assert ward.take(frame(3.2, ("p", "heart_rate", 80))).estimates is None
    assert ward.take(Tick(T0 + int(4.1 * S))).estimates is not None


def test_ticks_send_nothing_for_patients_of_recent_frames():
    ward = Ward()
    for at in range(1, 60):
        assert ward.take(frame(at, ("p", "heart_rate", 80.0))).estimates is not None
        assert ward.take(Tick(T0 + int((at + 0.5) * S))).estimates is None


def test_unknown_future_and_unfiltered_readings_have_their_own_status():
    ward = Ward()
    outcome = ward.take(
        frame(
            1,
            ("q", "heart_rate", 80),
            ("p", "insulin_bolus", 2),
            ("p", "heart_rate", 80, -3600),
            ("p", "heart_rate", 80),
        )
    )
    assert list(outcome.status) == [Status.UNKNOWN_PATIENT, Status.UNFILTERED, Status.FUTURE, Status.ACCEPTED]


def test_a_retracted_reading_is_removed_from_state_and_estimates():
    ward = Ward()
    ward.steady(1, 20)
    before = ward.bank.state[0].copy()
    ward.take(frame(20, ("p", "heart_rate", 95)))
    outcome = ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 20 * S, received=T0 + 21 * S))
    assert list(outcome.status) == [Status.RETRACTED]
    np.testing.assert_array_equal(ward.bank.state[0], before)
    rows = outcome.estimates.rows
    assert (rows["time"].tolist(), rows["value"].tolist()) == ([T0 + 19 * S], [80.0])


def test_a_retracted_reading_raises_no_later_alarm():
    for taken_back in (False, True):
        ward = Ward()
        ward.steady(1, 20)
        ward.take(frame(20, ("p", "heart_rate", 160)))
        if taken_back:
            ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 20 * S, received=T0 + 21 * S))
        for at in range(22, 32):
            ward.take(Tick(T0 + at * S))
        assert ward.presences("limit.critical_high") == ([] if taken_back else ["on"])


def test_a_channel_whose_only_reading_is_retracted_begins_again():
    ward = Ward()
    ward.take(frame(1, ("p", "heart_rate", 80)))
    outcome = ward.take(Retract(patient="p", signal="heart_rate", time=T0 + S, received=T0 + 2 * S))
    rows = outcome.estimates.rows
    assert rows["time"].tolist() == [0]
    assert np.isnan([rows["value"][0], rows["mean"][0]]).all()
    for at in range(2, 90):
        ward.take(Tick(T0 + at * S))
    assert ward.presences("sensor.silent") == []
    outcome = ward.take(frame(90, ("p", "heart_rate", 81)))
    assert list(outcome.status) == [Status.ACCEPTED]
    fresh = Ward()
    fresh.take(frame(90, ("p", "heart_rate", 81)))
    np.testing.assert_array_equal(ward.bank.state[0], fresh.bank.state[0])


def test_a_refused_retraction_changes_nothing_and_gives_the_reason():
    ward = Ward()
    ward.steady(1, 50)
    ward.take(Admit(patient="gone", received=T0 + 50 * S))
    ward.take(Discharge(patient="gone", received=T0 + 50 * S))
    for patient, signal, at, status in [
        ("p", "heart_rate", 1, Status.LATE),
        ("p", "heart_rate", 60, Status.DUPLICATE),
        ("p", "glucose", 1, Status.UNFILTERED),
        ("p", "mood", 1, Status.UNFILTERED),
        ("gone", "heart_rate", 1, Status.UNKNOWN_PATIENT),
        ("nobody", "heart_rate", 1, Status.UNKNOWN_PATIENT),
    ]:
        outcome = ward.take(Retract(patient=patient, signal=signal, time=T0 + at * S, received=T0 + 60 * S))
        assert list(outcome.status) == [status]
        assert outcome.empty


def test_a_flat_line_begins_again_when_its_first_reading_is_retracted():
    ward = Ward()
    ward.steady(1, 10, value=81.0)
    ward.steady(10, 20)
    ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 15 * S, received=T0 + 20 * S))
    assert ward.bank.watch[0, layout.FLAT_SINCE] == T0 + 10 * S
    ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 10 * S, received=T0 + 20 * S))
    assert ward.bank.watch[0, layout.FLAT_SINCE] == T0 + 19 * S


def test_discharge_ends_alarms_and_the_next_stay_starts_afresh():
    ward = Ward()
    ward.steady(1, 30, value=150.0)
    ward.take(Discharge(patient="p", received=T0 + 31 * S))
    assert ward.presences("limit.critical_high")[-1] == "off"
    assert not ward.bank.alarms
    assert list(ward.take(frame(32, ("p", "heart_rate", 80))).status) == [Status.UNKNOWN_PATIENT]
    ward.take(Admit(patient="p", ward="B", received=T0 + 33 * S))
    ward.take(frame(34, ("p", "heart_rate", 80)))
    state = complete(ward.bank, 0)
    assert state.profiles[0].ward == "B"
    assert state.estimates.rows["mean"][0] == pytest.approx(80, abs=0.5)


def test_limits_fall_back_from_patient_to_ward_to_table():
    ward = Ward()
    ward.take(frame(1, ("p", "heart_rate", 80)))
    number = ward.bank.index["p"]
    assert ward.bank.limits_in_force(number, 0)[1] == "default"
    ward.take(SetLimits(ward="A", signal="heart_rate", high=111.0, received=T0 + S))
    assert ward.bank.limits_in_force(number, 0)[0]["high"] == 111.0
    ward.take(SetLimits(patient="p", signal="heart_rate", high=99.0, received=T0 + S))
    assert ward.bank.limit[ward.bank.slot[number, 0], 2] == 99.0
    ward.take(SetLimits(patient="p", signal="heart_rate", received=T0 + S))
    assert ward.bank.limits_in_force(number, 0) == ({**ward.bank.limits_in_force(number, 0)[0], "high": 111.0}, "ward")
    ward.take(Move(patient="p", ward="B", received=T0 + S))
    assert ward.bank.limits_in_force(number, 0)[1] == "default"


def test_a_bound_in_keep_stays_and_the_others_change():
    ward = Ward()
    ward.take(frame(1, ("p", "heart_rate", 80)))
    number = ward.bank.index["p"]

    def force(*names):
        limits, _ = ward.bank.limits_in_force(number, 0)
        return tuple(limits[name] for name in names)

    ward.take(SetLimits(patient="p", signal="heart_rate", high=99.0, delay_s=4.0, received=T0 + S))
    ward.take(SetLimits(patient="p", signal="heart_rate", low=44.0, keep=["high"], received=T0 + S))
    ward.take(SetLimits(ward="A", signal="heart_rate", low=60.0, critical_low=45.0, received=T0 + S))
    ward.take(SetLimits(ward="A", signal="heart_rate", high=130.0, keep=["critical_low"], received=T0 + S))
    assert force("critical_low", "low", "high", "delay_s") == (45.0, 44.0, 99.0, 10.0)
    ward.take(SetLimits(patient="p", signal="heart_rate", keep=["low"], received=T0 + S))
    assert force("critical_low", "low", "high") == (45.0, 44.0, 130.0)
    ward.take(SetLimits(patient="p", signal="heart_rate", received=T0 + S))
    assert force("critical_low", "low", "high") == (45.0, 50.0, 130.0)


def test_a_checkpoint_of_other_columns_keeps_patients_limits_and_alarms_and_begins_the_filters_anew():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", high=110.0, delay_s=0.0, received=T0))
    ward.steady(1, 20, value=120.0)
    assert ward.presences("limit.high") == ["on"]
    block = block_of(ward.bank, 0, 100)
    block.version -= 1
    block.arrays["state"] = block.arrays["state"][:-8]
    del block.arrays["agreement"]
    restored = Ward.__new__(Ward)
    restored.bank, restored.log, restored.outcomes = Bank(), [None] * 101, []
    restore(restored.bank, block)
    restored.bank.finish_catch_up()
    assert restored.bank.limits_in_force(restored.bank.index["p"], 0)[0]["high"] == 110.0
    assert [alarm.condition for alarm in restored.bank.alarms.values()] == ["limit.high"]
    restored.steady(30, 95, value=80.0)
    assert restored.presences("limit.high") == ["off"]


def test_no_sensor_is_silent_while_nothing_could_be_received():
    # Heart rate counts as silent after 20 s: readings until second 29, then 101 s; in 95 of them no reading could
    # arrive.
    for unheard, silent_at in ((0, 130), (95, 29 + 95 + 20 + 1)):
        ward = Ward()
        ward.steady(1, 30)
        ward.take(Tick(T0 + 130 * S, unheard * S))
        assert ward.presences("sensor.silent") == ([] if unheard else ["on"])
        for at in range(131, 190):
            ward.take(Tick(T0 + at * S))
        (begin,) = [t for o in ward.outcomes for t in o.transitions if t.condition == "sensor.silent"]
        assert begin.emitted == T0 + silent_at * S


def test_a_channel_heard_after_the_outage_has_no_time_in_the_future():
    began = []
    for unheard in (0, 100):
        ward = Ward()
        ward.steady(1, 30)
        ward.take(frame(130, ("p", "heart_rate", 80)))
        ward.take(Tick(T0 + 131 * S, unheard * S))
        for at in range(132, 195):
            ward.take(Tick(T0 + at * S))
        began += [t.emitted for o in ward.outcomes for t in o.transitions if t.condition == "sensor.silent"]
    without, excused = began
    assert excused - without == 1 * S  # as if last heard at 131


def test_a_delayed_tick_makes_no_sensor_silent():
    ward = Ward()
    ward.steady(1, 30)
    ward.take(frame(130, ("q", "heart_rate", 80)))
    ward.take(Tick(T0 + 31 * S))
    assert ward.presences("sensor.silent") == []
    ward.take(Tick(T0 + 131 * S))
    assert ward.presences("sensor.silent") == ["on"]


def busy_log(seed, patients=150, seconds=90):
    """A log of many patients with every kind of record and problem."""
    rng = np.random.default_rng(seed)
    log = [Admit(patient=f"p{n}", ward="AB"[n % 2], received=T0) for n in range(patients)]
    names = ["heart_rate", "respiratory_rate", "oxygen_saturation", "systolic_bp", "glucose"]
    for at in range(1, seconds):
        n = int(rng.integers(1, 120))
        readings = [
            (
                f"p{rng.integers(0, patients)}",
                name := names[rng.integers(0, 5)],
                {"heart_rate": 80, "respiratory_rate": 16, "oxygen_saturation": 96, "systolic_bp": 120, "glucose": 110}[name]
                + float(rng.normal(0, 2)) + (60 if rng.random() < 0.15 else 0),
                float(rng.integers(0, 3)),
            )
            for _ in range(n)
        ]  # fmt: skip
        log.append(frame(at, *readings))
        if at % 5 == 0:
            patient, signal, _, ago = readings[0]
            time = T0 + int((at - ago) * S)
            log.append(Retract(patient=patient, signal=signal, time=time, received=T0 + at * S))
        if at % 7 == 0:
            log.append(Tick(T0 + at * S, unheard=S * (at % 2)))
        if at % 11 == 0:
            log.append(SetLimits(ward="A", signal="heart_rate", high=100.0 + at, received=T0 + at * S))
        if at % 13 == 0:
            log.append(Fact(patient=f"p{at}", kind="oxygen", time=T0 + at * S, value=2.0, received=T0 + at * S))
        if at == 50:
            log.append(Discharge(patient="p3", received=T0 + at * S))
            log.append(Admit(patient="late", ward="A", received=T0 + at * S))
    return log


def bits(bank, offset):
    """The whole state as bytes, independent of the places of rows."""
    blocks = [msgspec.msgpack.encode(block_of(bank, n, offset)) for n in range(math.ceil(bank.patients / 64))]
    return blocks, msgspec.msgpack.encode(foundation_of(bank, offset))


def run(log):
    bank = Bank()
    return bank, [step(bank, record, offset) for offset, record in enumerate(log)]


def test_the_same_log_gives_the_same_bits_and_the_same_outcomes():
    log = busy_log(1)
    one, first = run(log)
    other, second = run(log)
    assert bits(one, 1) == bits(other, 1)
    assert [msgspec.msgpack.encode(o) for o in first] == [msgspec.msgpack.encode(o) for o in second]
    assert sum(len(o.transitions) for o in first) > 10
    assert sum(o.status == bytes([Status.RETRACTED]) for o in first) > 10


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_blocks_stored_at_different_offsets_and_a_replay_give_the_uninterrupted_state(seed):
    log = busy_log(seed)
    whole, _ = run(log)
    rng = np.random.default_rng(seed)
    cuts = {number: int(rng.integers(len(log) // 2, len(log))) for number in (-1, 0, 1, 2)}
    kept = []
    bank = Bank()
    for offset, record in enumerate(log):
        step(bank, record, offset)
        for number, cut in cuts.items():
            if cut == offset:
                cut_off = foundation_of(bank, offset) if number < 0 else block_of(bank, number, offset)
                kept.append(msgspec.msgpack.encode(cut_off))
    restored = Bank()
    for raw in kept:
        block = msgspec.msgpack.decode(raw, type=Block | Foundation)
        if isinstance(block, Block):
            restore(restored, block)
        else:
            restore_foundation(restored, block, min(cuts.values()))
    restored.catching_up = True
    for offset in range(min(cuts.values()) + 1, len(log)):
        step(restored, log[offset], offset)
    restored.finish_catch_up()
    assert bits(restored, 1) == bits(whole, 1)


def test_one_frame_or_one_reading_at_a_time_gives_the_same_twins():
    rng = np.random.default_rng(9)
    readings = [("p", "heart_rate", 80 + rng.normal(0, 2) + (70 if 40 <= k < 60 else 0), 100 - k) for k in range(100)]
    one, other = Ward(), Ward()
    together = one.take(frame(101, *readings))
    apart = [other.take(frame(101, reading)) for reading in readings]
    assert (one.bank.state[: one.bank.rows] == other.bank.state[: other.bank.rows]).all()
    ids = [t.id for t in together.transitions if t.condition.startswith(("limit", "sensor"))]
    assert ids == [t.id for o in apart for t in o.transitions if t.condition.startswith(("limit", "sensor"))]
    assert ids
