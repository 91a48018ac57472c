"""Stated chances: what is stated when, and how what came judges it and teaches the patient's own offset."""

import math

import msgspec
import numpy as np
import pytest
from msgspec import UNSET
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.models.channel import chances as channel_chances
from twins.models.channel.recalibration import KINDS, SIDES, recalibration_of
from twins.models.channel.statements import learn
from twins.records import Admit, Discharge, Retract, SetLimits, Tick
from twins.signals import SIGNALS
from twins.step.dispatch import step

MINUTE = 60


def judged(ward):
    """Every judged statement so far: (side, kind, made, judged) in s, stated and came."""
    found = []
    for outcome in ward.outcomes:
        if outcome.chances is UNSET:
            continue
        rows = outcome.chances.rows
        found += [
            (SIDES[side], KINDS[kind], (made - T0) // S, (at - T0) // S, stated, came)
            for side, kind, made, at, stated, came in zip(
                *(rows[name].tolist() for name in ("side", "kind", "made", "judged", "stated", "came")), strict=True
            )
        ]
    return found


def every_minute(ward, begin, end, value=80.0, patient="p"):
    """One heart rate a minute, from minute ``begin`` to before ``end``."""
    for at in range(begin, end):
        ward.take(frame(at * MINUTE, (patient, "heart_rate", value)))


def of(ward, patient="p", signal="heart_rate"):
    """The row of a channel."""
    bank = ward.bank
    return int(bank.slot[bank.index[patient], next(s.code for s in SIGNALS if s.name == signal)])


def stated_now(bank, rows):
    """Raw and stated chances and kinds of rows."""
    raw, stated, kind = np.zeros((len(rows), 2)), np.zeros((len(rows), 2)), np.zeros(len(rows), np.uint8)
    channel_chances.chances(
        np.array(rows, np.int64), bank.signal_of_row, bank.state, bank.watch, bank.ring, bank.limit, bank.phase,
        bank.offsets, layout.PARAMETERS, raw, stated, kind,
    )  # fmt: skip
    return raw, stated, kind


def test_a_statement_is_made_every_ten_minutes_and_judged_after_thirty():
    ward = Ward()
    every_minute(ward, 1, 60)
    found = judged(ward)
    # The sixth reading makes the first: six measurements are needed.
    assert [(side, made, at) for side, _, made, at, _, _ in found if side == "low"] == [
        ("low", 6 * MINUTE, 36 * MINUTE), ("low", 16 * MINUTE, 46 * MINUTE), ("low", 26 * MINUTE, 56 * MINUTE),
    ]  # fmt: skip
    assert {kind for _, kind, *_ in found} == {"within_30_min"}
    assert all(came == 0 for *_, came in found)
    assert all(0.0 < stated < 0.05 for *_, stated, _ in found)


@pytest.mark.parametrize(("value", "side"), [(45.0, "low"), (130.0, "high")])
def test_a_single_reading_beyond_the_limit_makes_it_true_also_when_the_next_are_not(value, side):
    ward = Ward()
    every_minute(ward, 1, 20)
    every_minute(ward, 20, 21, value)
    every_minute(ward, 21, 70)
    came = {(at_side, made // MINUTE): came for at_side, _, made, _, _, came in judged(ward)}
    other = "low" if side == "high" else "high"
    assert [came[side, made] for made in (6, 16, 26, 36)] == [1, 1, 0, 0]
    assert [came[other, made] for made in (6, 16, 26, 36)] == [0, 0, 0, 0]


def test_the_limit_in_force_when_it_was_made_counts():
    ward = Ward()
    every_minute(ward, 1, 10)
    ward.take(SetLimits(patient="p", signal="heart_rate", high=90.0, received=T0 + 9 * MINUTE * S))
    every_minute(ward, 10, 11, 95.0)
    every_minute(ward, 11, 50)
    came = {made // MINUTE: came for side, _, made, _, _, came in judged(ward) if side == "high"}
    assert came[6] == 0


def test_where_readings_stop_nothing_is_judged_whether_it_came_or_not():
    """Else the last statements before every pause would only be those that came true."""
    for value in (80.0, 130.0):
        ward = Ward()
        every_minute(ward, 1, 20)
        every_minute(ward, 20, 22, value)
        every_minute(ward, 120, 130)
        assert judged(ward) == []
        every_minute(ward, 130, 160)
        assert {made // MINUTE for _, _, made, *_ in judged(ward)} == {120}


def test_nothing_is_stated_of_a_limit_that_the_newest_reading_is_beyond():
    ward = Ward()
    every_minute(ward, 1, 20)
    every_minute(ward, 20, 40, 130.0)
    _, stated, _ = stated_now(ward.bank, [of(ward)])
    assert np.isnan(stated[0, 1])
    assert 0.0 < stated[0, 0] < 0.05
    made = {(side, made // MINUTE) for side, _, made, *_ in judged(ward)}
    assert ("high", 26) not in made


def test_nothing_is_stated_without_a_limit_or_while_the_sensor_is_faulty():
    ward = Ward()
    for at in range(1, 10):
        ward.take(frame(at * MINUTE, ("p", "oxygen_saturation", 97.0)))
    _, stated, _ = stated_now(ward.bank, [of(ward, signal="oxygen_saturation")])
    assert np.isnan(stated[0, 1])  # an oxygen saturation has no high limit
    assert stated[0, 0] > 0.0
    ward.steady(600, 700)
    ward.steady(700, 740, value=0.0)
    _, stated, _ = stated_now(ward.bank, [of(ward)])
    assert np.isnan(stated).all()


def hourly(ward, begin, end, value=80.0):
    """One heart rate an hour."""
    for at in range(begin, end):
        ward.take(frame(at * 3600, ("p", "heart_rate", value)))


def test_where_readings_are_sparse_the_next_reading_judges():
    ward = Ward()
    hourly(ward, 1, 8)
    hourly(ward, 8, 9, 130.0)
    hourly(ward, 9, 11)
    found = {(side, made // 3600): (kind, at // 3600, came) for side, kind, made, at, _, came in judged(ward)}
    assert found["high", 6] == ("next_reading", 7, 0)
    assert found["high", 7] == ("next_reading", 8, 1)
    assert found["low", 7] == ("next_reading", 8, 0)
    assert ("high", 8) not in found  # beyond it already
    assert found["low", 8] == ("next_reading", 9, 0)


def test_a_next_reading_that_is_far_too_late_says_nothing():
    ward = Ward()
    hourly(ward, 1, 8)
    hourly(ward, 10, 11)
    assert max(made // 3600 for _, _, made, *_ in judged(ward)) == 6
    hourly(ward, 11, 12)
    assert max(made // 3600 for _, _, made, *_ in judged(ward)) == 10


def test_one_long_pause_makes_no_channel_sparse_and_a_burst_makes_none_dense():
    ward = Ward()
    every_minute(ward, 1, 30)
    every_minute(ward, 30 + 600, 30 + 604)
    row = of(ward)
    assert ward.bank.watch[row, layout.INTERVAL] > 600.0
    assert stated_now(ward.bank, [row])[2].tolist() == [0]
    ward = Ward()
    hourly(ward, 1, 12)
    for seconds in (60, 120):
        ward.take(frame(11 * 3600 + seconds, ("p", "heart_rate", 80.0)))
    assert stated_now(ward.bank, [of(ward)])[2].tolist() == [1]


def beyond_at(ward, row, ahead_s, limits):
    """The probability that a heart rate ``ahead_s`` from now is below or above the limits, from the model's formulas."""
    modes = SIGNALS[0].modes
    state = ward.bank.state[row]
    mean, slow, p00, p01, p11 = (state[at] for at in (layout.M0, layout.M1, layout.P00, layout.P01, layout.P11))
    fast_left, slow_left = math.exp(-ahead_s / modes.fast_s), math.exp(-ahead_s / modes.slow_s)
    weights = np.array([fast_left, slow_left - fast_left])  # of the level, of the slow mode
    level = modes.mean + fast_left * (mean - modes.mean) + (slow_left - fast_left) * slow
    variance = weights @ np.array([[p00, p01], [p01, p11]]) @ weights
    variance += modes.fast_sd**2 * (1 - fast_left**2) + modes.slow_sd**2 * (1 - slow_left**2)
    variance += modes.noise_sd**2 * state[layout.R_SCALE] + 1.0 / 12.0
    low, high = limits
    return np.array([norm.cdf(low, level, math.sqrt(variance)), norm.sf(high, level, math.sqrt(variance))])


def test_the_raw_chance_of_the_next_reading_is_a_normal_probability():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", low=102.0, high=115.0, received=T0))
    hourly(ward, 1, 12, 110.0)
    row = of(ward)
    raw, _, kind = stated_now(ward.bank, [row])
    assert kind.tolist() == [1]
    assert raw[0] == pytest.approx(
        beyond_at(ward, row, ward.bank.watch[row, layout.INTERVAL], (102.0, 115.0)), rel=1e-6
    )


def test_the_raw_chance_within_half_an_hour_is_the_mean_of_two_moments():
    ward = Ward()
    ward.take(SetLimits(patient="p", signal="heart_rate", low=78.0, high=84.0, received=T0))
    every_minute(ward, 1, 30)
    row = of(ward)
    raw, _, kind = stated_now(ward.bank, [row])
    assert kind.tolist() == [0]
    both = [beyond_at(ward, row, minutes * 60.0, (78.0, 84.0)) for minutes in (10, 30)]
    assert raw[0] == pytest.approx(np.mean(both, axis=0), rel=1e-6)


@pytest.mark.parametrize("gap", [2.0, 8.0, 25.0, 60.0])
def test_a_bound_of_the_raw_chance_holds_at_every_moment(gap):
    ward = Ward()
    every_minute(ward, 1, 30)
    row = of(ward)
    state, parameter = ward.bank.state[row], layout.PARAMETERS[0]
    most = channel_chances.most_beyond(state, parameter, 80.0 + gap, 1.0)
    for ahead_s in range(60, 1801, 60):
        assert channel_chances.beyond_at(state, parameter, float(ahead_s), 80.0 + gap, 1.0) <= most * (1.0 + 1e-9)
    assert most < 1e-4 or gap < 40.0


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("side", [0, 1])
def test_recalibration_is_a_logistic_one_and_rises_with_the_raw_chance(kind, side):
    for signal in SIGNALS:
        fitted = recalibration_of(signal.name, KINDS[kind], SIDES[side])
        parameter = layout.PARAMETERS[signal.code]
        assert fitted.slope > 0.0
        raw = np.array([0.001, 0.02, 0.3, 0.7, 0.99])
        found = [channel_chances.stated_of(p, parameter, kind, side, 0.4) for p in raw]
        assert found == pytest.approx(expit(fitted.slope * logit(raw) + fitted.offset + 0.4), rel=1e-9)
        assert np.all(np.diff(found) > 0.0)
        back = [channel_chances.raw_of(p, parameter, kind, side, 0.4) for p in found]
        assert back == pytest.approx(raw, rel=1e-9)


def test_the_own_offset_learns_as_bayes_would():
    """Against the exact posterior mean of a logistic model's intercept, by numerical integration."""
    rng = np.random.default_rng(5)
    raw_logit = rng.normal(-1.0, 1.0, 120)
    came = rng.random(120) < expit(raw_logit + 1.2)
    prior = 1.0
    offset = np.zeros(2, np.float32)
    for x, y in zip(raw_logit, came, strict=True):
        learn(offset, float(expit(x + offset[0])), int(y), prior, 1.0)

    def density(b):
        return math.exp(
            -0.5 * prior * b * b
            + float(np.sum(np.where(came, raw_logit + b, 0.0) - np.logaddexp(0.0, raw_logit + b)))
            + 60.0
        )

    mean = quad(lambda b: b * density(b), -6, 6, limit=200)[0] / quad(density, -6, 6, limit=200)[0]
    assert mean > 0.5
    assert float(offset[0]) == pytest.approx(mean, abs=0.25)


def test_a_patient_whose_limit_is_passed_more_often_is_told_a_higher_chance_and_nobody_else():
    ward, other = Ward(), Ward()
    for one in (ward, other):
        one.take(Admit(patient="q", ward="A", received=T0))
        one.take(SetLimits(patient="p", signal="heart_rate", high=82.0, received=T0))
        one.take(SetLimits(patient="q", signal="heart_rate", high=82.0, received=T0))
        for at in range(1, 600):
            often = 83.0 if one is ward and at % 10 == 0 else 80.0
            one.take(frame(at * MINUTE, ("p", "heart_rate", often), ("q", "heart_rate", 80.0)))
    mine, neighbours = ward.bank.offsets[of(ward)], ward.bank.offsets[of(ward, "q")]
    assert mine[1, 0] > 0.3
    assert neighbours[1, 0] < 0.0
    # Bit for bit what the neighbour learns beside somebody else.
    assert neighbours.tobytes() == other.bank.offsets[of(other, "q")].tobytes()
    row = of(ward)
    now = T0 + 600 * MINUTE * S
    ward.take(Discharge(patient="p", received=now))
    ward.take(Admit(patient="p", ward="A", received=now + S))
    every_minute(ward, 601, 602)
    assert not ward.bank.offsets[of(ward)].any()
    assert row >= 0


def test_a_late_reading_can_make_it_true_but_does_not_end_its_time():
    ward = Ward()
    every_minute(ward, 1, 20)
    every_minute(ward, 21, 30)
    ward.take(frame(30 * MINUTE, ("p", "heart_rate", 130.0, 10 * MINUTE)))
    assert judged(ward) == []
    every_minute(ward, 30, 50)
    came = {made // MINUTE: came for side, _, made, _, _, came in judged(ward) if side == "high"}
    assert came[6] == came[16] == 1


def test_statements_about_readings_that_were_wrong_are_dropped():
    ward = Ward()
    every_minute(ward, 1, 20)
    every_minute(ward, 20, 21, 130.0)
    now = T0 + 21 * MINUTE * S
    ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 20 * MINUTE * S, received=now))
    every_minute(ward, 22, 50)
    found = judged(ward)
    assert not [made for _, _, made, *_ in found if made <= 20 * MINUTE]
    every_minute(ward, 50, 70)
    assert {came for *_, came in judged(ward)} == {0}
    assert judged(ward)


def test_a_reading_that_no_patient_can_have_judges_nothing():
    ward = Ward()
    every_minute(ward, 1, 20)
    every_minute(ward, 20, 21, 900.0)
    every_minute(ward, 21, 50)
    assert {came for *_, came in judged(ward)} == {0}


def test_a_checkpoint_between_statement_and_judgement_changes_nothing():
    ward = Ward()
    every_minute(ward, 1, 20)
    kept = msgspec.msgpack.encode(block_of(ward.bank, 0, len(ward.log) - 1))
    again = Bank()
    again.time = ward.bank.time
    restore(again, msgspec.msgpack.decode(kept, type=Block))
    for at in range(20, 60):
        record = frame(at * MINUTE, ("p", "heart_rate", 130.0 if at == 25 else 80.0))
        outcome = ward.take(record)
        other = step(again, record, len(ward.log) - 1)
        assert msgspec.msgpack.encode(outcome) == msgspec.msgpack.encode(other)
    assert judged(ward)
    at = len(ward.log)
    assert msgspec.msgpack.encode(block_of(again, 0, at)) == msgspec.msgpack.encode(block_of(ward.bank, 0, at))


def test_an_older_checkpoint_opens_without_statements():
    ward = Ward()
    every_minute(ward, 1, 20)
    older = block_of(ward.bank, 0, len(ward.log) - 1)
    for name in ("awaiting", "stated", "offsets"):
        del older.arrays[name]
    ward.bank = Bank()
    restore(ward.bank, older)
    ward.outcomes.clear()
    every_minute(ward, 20, 60)
    assert {made // MINUTE for _, _, made, *_ in judged(ward)} == {20}


def test_ticks_alone_judge_nothing():
    ward = Ward()
    every_minute(ward, 1, 20)
    for at in range(20 * MINUTE, 60 * MINUTE, 30):
        ward.take(Tick(received=T0 + at * S))
    assert judged(ward) == []


def test_a_reading_at_the_limit_is_not_beyond_it_however_the_limit_is_stored():
    for value, came in ((39.1, 0), (39.2, 1)):
        ward = Ward()
        ward.take(SetLimits(patient="p", signal="body_temperature", high=39.1, received=T0))
        for at in range(1, 50):
            ward.take(frame(at * MINUTE, ("p", "body_temperature", value if at == 20 else 38.0)))
        found = {made // MINUTE: came for side, _, made, _, _, came in judged(ward) if side == "high"}
        assert found[6] == found[16] == came
