"""The fit of recalibrations: it finds what made the data, and follows patients as the twins do."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from streams.recordings.recalibrate import fit
from tests.twins.step.test_step import Ward, frame
from twins.bank import layout
from twins.fitting.chances import reliability
from twins.fitting.recalibration import JudgedPairs, logit, states, weight
from twins.models.channel.chances import raw_of
from twins.models.channel.recalibration import Recalibration, recalibration_of
from twins.models.channel.statements import OVERLAP, learn

MINUTE_US = 60_000_000.0
PLAIN = Recalibration(1.0, 0.0, 1.0)


def made(slope, offset, spread, *, patients=150, each=60, seed=1):
    """Chances whose truth is known: every patient has an offset of its own."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1.5, 1.5, (patients, each))
    own = rng.normal(0.0, spread, (patients, 1))
    came = rng.random((patients, each)) < expit(slope * x + offset + own)
    time = np.tile(np.arange(each) * 60.0 * MINUTE_US, (patients, 1))
    patient = np.repeat(np.arange(patients), each)
    return JudgedPairs("made", expit(x).ravel(), came.ravel().astype(np.uint8), patient, time.ravel())


@pytest.mark.parametrize(("slope", "offset", "spread"), [(0.6, -1.0, 0.7), (1.4, 0.5, 0.3)])
def test_the_fit_finds_slope_and_offset_that_made_the_data(slope, offset, spread):
    found = fit([made(slope, offset, spread)], 1, PLAIN)
    assert found.slope == pytest.approx(slope, rel=0.12)
    assert found.offset == pytest.approx(offset, abs=0.3)


def test_a_wider_spread_of_patients_is_learnt_faster():
    wide, narrow = (fit([made(0.8, -0.5, spread)], 1, PLAIN).precision for spread in (1.2, 0.1))
    assert wide < 2.0 < narrow


def test_without_own_offsets_it_is_the_logistic_regression_of_scikit_learn():
    pairs = made(0.7, -0.8, 0.0)
    never = pairs._replace(time=np.zeros(len(pairs.time)), patient=np.arange(len(pairs.raw)))  # nobody is seen twice
    known = LogisticRegression(C=np.inf, tol=1e-8).fit(logit(never.raw)[:, None], never.came)
    found = fit([never], 1, Recalibration(0.8, -0.7, 1.0))
    assert found.slope == pytest.approx(float(known.coef_[0, 0]), abs=0.03)
    assert found.offset == pytest.approx(float(known.intercept_[0]), abs=0.05)


def test_learning_makes_the_chances_of_unlike_patients_better():
    pairs = made(0.8, -0.5, 1.2, seed=3)
    held_out = made(0.8, -0.5, 1.2, seed=4)
    found = fit([pairs], 1, PLAIN)
    learnt = reliability(states(held_out, found, 1), held_out.came)
    fixed = reliability(expit(found.slope * logit(held_out.raw) + found.offset), held_out.came)
    assert learnt.skill > fixed.skill + 0.02
    assert learnt.ece < 0.03


def test_few_patients_move_the_result_less_and_none_leave_the_centre():
    centre = Recalibration(0.6, -1.0, 1.0)
    few, many = (fit([made(1.4, 1.0, 0.3, patients=count, each=12)], 1, centre) for count in (1, 100))
    assert abs(np.log(few.slope / centre.slope)) < abs(np.log(many.slope / centre.slope))
    nothing = made(1.0, 0.0, 0.0, patients=3)
    assert fit([nothing._replace(came=np.zeros_like(nothing.came))], 1, centre) == centre
    assert weight(nothing) == pytest.approx(3 / 7)


def test_it_follows_a_patient_as_the_twin_does_online():
    """The own offset after two days of glucose, in the bank and as the fit computes it from the same raw chances."""
    rng = np.random.default_rng(8)
    ward = Ward()
    values = 85.0 + 22.0 * np.sin(np.arange(576) / 18.0) + rng.normal(0.0, 4.0, 576)
    raw, came, time, stated = [], [], [], []
    code = 14
    parameter = layout.PARAMETERS[code]
    fitted = recalibration_of("glucose", "within_30_min", "low")
    for at, value in enumerate(values.round().tolist()):
        outcome = ward.take(frame(300 * (at + 1), ("p", "glucose", value)))
        if outcome.chances:
            rows = outcome.chances.rows
            for place in np.flatnonzero((rows["side"] == 0) & (rows["kind"] == 0)).tolist():
                came.append(int(rows["came"][place]))
                time.append(float(rows["made"][place]))
                stated.append(float(rows["stated"][place]))
    assert sum(came) > 10
    # Back from what was stated to what it was made of: the fit must state the same again from the raw chances.
    row = int(ward.bank.slot[0, code])
    own = np.zeros(2, np.float32)
    pending = []
    for at, chance in enumerate(stated):
        while pending and time[pending[0]] + 30 * MINUTE_US <= time[at]:
            first = pending.pop(0)
            learn(own, stated[first], came[first], fitted.precision, OVERLAP)
        raw.append(raw_of(chance, parameter, 0, 0, float(own[0])))
        pending.append(at)
    pairs = JudgedPairs("p", np.array(raw), np.array(came, np.uint8), np.zeros(len(raw), np.int64), np.array(time))
    again = states(pairs, fitted, 0)
    inside = (np.array(raw) > 2e-4) & (np.array(raw) < 1 - 2e-4)
    assert inside.sum() > 50
    assert again[inside] == pytest.approx(np.array(stated)[inside], rel=1e-4)
    assert ward.bank.offsets[row, 0, 1] > 0.5
