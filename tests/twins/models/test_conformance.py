"""Properties of every model, built in or of a site: the interface of ``twins.models.registry``.

Here each model has a state of its own. ``test_conformance_in_bank`` checks the same of all twins as the step runs them;
the deterioration twin is only there, because its state is the bank's.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.site_models import InsulinOnBoard, LastValue, Telling, documented
from twins.models.channel.model import CHANNEL
from twins.models.registry import LEVELS, Model, Outputs, Quantity, SiteModel, as_model
from twins.records import Status
from twins.signals import BY_NAME

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
TAKEN = (Status.ACCEPTED, Status.REACQUIRED)


MODELS = [CHANNEL, *map(as_model, (LastValue(), Telling(), InsulinOnBoard(), documented()))]
SIGNALS = ["heart_rate", "oxygen_saturation", "glucose", "body_temperature"]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)


@st.composite
def courses(draw):
    """A signal and a plausible course of it: strictly rising times with very different steps, values around the typical
    one.
    """
    signal = BY_NAME[draw(st.sampled_from(SIGNALS))]
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 5, 60, 300, 7200]), min_size=2, max_size=40))
    seed = draw(st.integers(0, 1 << 30))
    values = signal.modes.mean + signal.modes.fast_sd * np.random.default_rng(seed).standard_normal(len(steps))
    return signal, START + SECOND * np.cumsum(np.array(steps, np.int64)), np.clip(values, *signal.plausible)


def run(model, signal, times, values, *, state=None, at_once=True, row=0):
    state = np.zeros(2, model.dtype) if state is None else state
    batches = [slice(None)] if at_once else [slice(n, n + 1) for n in range(len(times))]
    status = []
    for batch in batches:
        count = len(times[batch])
        rows, codes = np.full(count, row, np.int64), np.full(count, signal.code, np.uint16)
        status.extend(model.update(state, rows, codes, times[batch], values[batch]).tolist())
    return state, status


def forecasts(model):
    """Whether a model forecasts readings: one that does not returns NaN."""
    return np.array(model.level == "channel")


@every_model
def test_it_is_a_model(model):
    assert isinstance(model, SiteModel)
    assert isinstance(model, Model)
    assert model.name
    assert model.version >= 1
    assert model.level in LEVELS
    assert all(isinstance(quantity, Quantity) for quantity in model.quantities)


@every_model
@given(course=courses())
@settings(max_examples=40, deadline=None)
def test_a_batch_is_one_by_one(model, course):
    whole, told = run(model, *course)
    single, singly = run(model, *course, at_once=False)
    assert told == singly
    assert whole.tobytes() == single.tobytes()


@every_model
@given(course=courses())
@settings(max_examples=40, deadline=None)
def test_rows_do_not_touch_each_other(model, course):
    own, _ = run(model, *course, row=1)
    assert own[0].tobytes() == np.zeros(1, model.dtype).tobytes()
    assert own[1].tobytes() == run(model, *course)[0][0].tobytes()


@every_model
@given(course=courses(), cut=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_kept_and_restored_the_future_is_the_same(model, course, cut):
    signal, times, values = course
    state, _ = run(model, signal, times[:cut], values[:cut])
    restored = np.frombuffer(state.tobytes(), model.dtype).copy()
    assert (
        run(model, signal, times[cut:], values[cut:], state=restored)[0].tobytes() == run(model, *course)[0].tobytes()
    )


@every_model
@given(course=courses())
@settings(max_examples=40, deadline=None)
def test_a_reading_once_more_changes_nothing(model, course):
    signal, times, values = course
    state, _ = run(model, *course)
    before = state.tobytes()
    _, told = run(model, signal, times[-1:], values[-1:], state=state)
    assert told in ([Status.DUPLICATE], [Status.UNFILTERED])
    assert state.tobytes() == before


@every_model
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_never_enters(model, bad):
    signal = BY_NAME["heart_rate"]
    times = START + SECOND * np.arange(1, 11)
    values = np.full(10, signal.modes.mean)
    values[3] = bad
    state, told = run(model, signal, times, values)
    assert told[3] not in TAKEN
    mean, sd = model.forecast(state, np.zeros(1, np.int64), np.array([signal.code], np.uint16), np.array([60.0]))
    assert (np.isfinite(mean) & np.isfinite(sd) | ~forecasts(model)).all()
    assert all(np.isfinite(figure) for figure in model.explain(state, 0, signal.code).values())


@every_model
@given(course=courses(), shift=st.integers(-(10**9), 10**9))
@settings(max_examples=40, deadline=None)
def test_another_epoch_gives_the_same_forecasts(model, course, shift):
    signal, times, values = course
    rows, codes = np.zeros(1, np.int64), np.array([signal.code], np.uint16)
    horizons = np.array([60.0, 1800.0])
    here = model.forecast(run(model, *course)[0], rows, codes, horizons)
    there = model.forecast(run(model, signal, times + SECOND * shift, values)[0], rows, codes, horizons)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one, other)


@every_model
@given(course=courses())
@settings(max_examples=40, deadline=None)
def test_forecasts_have_a_spread_at_every_horizon(model, course):
    signal, _, _ = course
    horizons = np.array([1.0, 300.0, 3600.0, 86_400.0])
    rows, codes = np.zeros(1, np.int64), np.array([signal.code], np.uint16)
    mean, sd = model.forecast(run(model, *course)[0], rows, codes, horizons)
    assert mean.shape == sd.shape == (1, 4)
    assert (np.isfinite(mean) & (sd > 0) | ~forecasts(model)).all()


@every_model
@given(course=courses(), first=st.integers(1, 5000), second=st.integers(1, 5000))
@settings(max_examples=40, deadline=None)
def test_a_gap_in_two_steps_is_the_gap(model, course, first, second):
    signal, times, _ = course
    rows, codes = np.zeros(1, np.int64), np.array([signal.code], np.uint16)
    at_once, in_two = run(model, *course)[0], run(model, *course)[0]
    end = int(times[-1]) + SECOND * (first + second)
    model.advance(at_once, rows, codes, end)
    model.advance(in_two, rows, codes, int(times[-1]) + SECOND * first)
    model.advance(in_two, rows, codes, end)
    horizons = np.array([60.0])
    for one, two in zip(
        model.forecast(at_once, rows, codes, horizons), model.forecast(in_two, rows, codes, horizons), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-9)


@every_model
@given(course=courses())
@settings(max_examples=40, deadline=None)
def test_outputs_have_a_column_a_quantity_and_change_nothing(model, course):
    signal, times, _ = course
    state = run(model, *course)[0]
    before = state.tobytes()
    codes = np.full(2, signal.code, np.uint16) if model.level == "channel" else np.empty(0, np.uint16)
    told = model.outputs(state, np.arange(2), codes, int(times[-1]))
    assert isinstance(as_outputs(told), Outputs)
    assert told[0].shape == told[1].shape == (2, len(model.quantities))
    assert told[2].shape == (2,)
    assert state.tobytes() == before
    assert told[2].max(initial=0) <= times[-1]
    assert np.isnan(told[0][1]).all()  # a row without readings has nothing to report


def as_outputs(told):
    """The minimum that a model may return is a plain tuple of three columns."""
    return Outputs(*told)


@every_model
def test_a_checkpoint_of_an_unknown_version_is_not_read(model):
    assert model.migrate(10_000, b"x" * 64) is None
