"""Properties of every twin as the step runs it: channel, deterioration, and a site's models of each level."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.frame import as_record
from tests.support.site_models import InsulinOnBoard, LastValue, Telling, documented
from twins.bank.arrays import BLANK
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, block_of, restore
from twins.models.channel.model import CHANNEL
from twins.models.deterioration.twin import DETERIORATION
from twins.models.registry import Twin
from twins.records import Admit, Columns, Discharge, Fact, Tick
from twins.signals import BY_NAME
from twins.step import site_models
from twins.step.dispatch import step

S = 1_000_000
T0 = 1_700_000_000 * S
SITE = (LastValue, Telling, InsulinOnBoard, documented)
NAMES = [CHANNEL.name, DETERIORATION.name, *(make().name for make in SITE)]
every_twin = pytest.mark.parametrize("name", NAMES)
TYPICAL = {"heart_rate": 80.0, "systolic_bp": 120.0, "respiratory_rate": 15.0, "glucose": 110.0, "oxygen_flow": 2.0}
CHARTED = {"insulin": 4.0, "oxygen": 2.0, "consciousness": "V"}


def bank():
    return Bank(models=[make() for make in SITE])


@st.composite
def events(draw, patient="p", most=25):
    """What happens to one patient: (second, readings by signal) or (second, a charted fact)."""
    steps = draw(st.lists(st.sampled_from([1, 1, 5, 60, 900]), min_size=2, max_size=most))
    kinds = draw(st.lists(st.sampled_from(["readings"] * 4 + list(CHARTED)), min_size=len(steps), max_size=len(steps)))
    chance = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    found = []
    for at, kind in zip(np.cumsum(steps).tolist(), kinds, strict=True):
        if kind == "readings":
            names = [name for name in TYPICAL if chance.random() < 0.6] or ["heart_rate"]
            found.append((at, patient, {name: round(TYPICAL[name] * chance.uniform(0.97, 1.03), 1) for name in names}))
        else:
            found.append((at, patient, Fact(patient=patient, kind=kind, id=f"{kind}{at}", time=0, value=CHARTED[kind])))
    return found


def admitted(patients=("p",), at=T0):
    return [Admit(patient=patient, ward="A", received=at) for patient in patients]


def record(event, epoch=T0):
    at, patient, what = event
    now = epoch + at * S
    if isinstance(what, Fact):
        return msgspec.structs.replace(what, time=now, received=now)
    return readings(patient, what, now)


def readings(patient, values, now):
    count = len(values)
    codes = np.array([BY_NAME[name].code for name in values], "<u2")
    return as_record(
        Columns([patient], np.zeros(count, "<u4"), codes, np.full(count, now, "<i8"), np.array(list(values.values()))),
        now,
    )


def played(records, into=None, offset=0):
    """The bank after some records; a model that failed fails the test."""
    into = into or bank()
    for place, one in enumerate(records, offset):
        step(into, one, place)
    assert into.models.failures == []
    return into


def end(course, epoch=T0, later=5):
    """A tick after everything, so that what waited for its second is sent."""
    return Tick(received=epoch + (course[-1][0] + later) * S)


def told(of, name, patient="p"):
    """Means, spreads, times and explanations that a twin reports about a patient; no mean that is NaN."""
    number = of.index[patient]
    slots = of.slot[number]
    codes = np.flatnonzero(slots >= 0).astype(np.uint16)
    rows = slots[codes].astype(np.int64)
    nobody, alone = np.empty(0, np.uint16), np.array([number])
    if name == CHANNEL.name:
        mean, sd, time = CHANNEL.outputs(of.state, rows, codes, of.time)
        explained = [CHANNEL.explain(of.state, row, code) for row, code in zip(rows, codes, strict=True)]
    elif name == DETERIORATION.name:
        mean, sd, time = DETERIORATION.outputs(of, alone, nobody, of.time)
        explained = [DETERIORATION.explain(of, number, -1)]
    else:
        (model,) = (model for model in of.models if model.name == name)
        state = of.models.state[name]
        places = list(zip(rows, codes, strict=True)) if model.level == "channel" else [(number, -1)]
        explained = [model.explain(state, row, code) for row, code in places]
        every = [one.rows for one in site_models.outputs_of(of, alone, of.time) if one.model == name]
        mean, sd, time = (
            np.concatenate([rows[key] for rows in every]) if every else np.empty(0) for key in ("mean", "sd", "time")
        )
    return mean, sd, time, explained


def agree(one, other, shift=0, rtol=0.0):
    for key in (0, 1):
        np.testing.assert_allclose(one[key], other[key], rtol=rtol, atol=0)
    measured = np.asarray(one[2], np.int64)
    np.testing.assert_array_equal(np.where(measured > 0, measured + shift, measured), other[2])
    assert len(one[3]) == len(other[3])
    for mine, theirs in zip(one[3], other[3], strict=True):
        assert mine.keys() == theirs.keys()
        np.testing.assert_allclose(list(mine.values()), list(theirs.values()), rtol=rtol, atol=0)


def test_the_built_in_twins_have_the_interface():
    assert isinstance(CHANNEL, Twin)
    assert isinstance(DETERIORATION, Twin)


def test_every_twin_tells_something():
    """The other tests compare reports of twins with each other; this one compares them with the right values."""
    course = [(1, "p", TYPICAL), (2, "p", Fact(patient="p", kind="insulin", time=0, value=4.0))]
    of = played([*admitted(), *map(record, course), end(course, later=3598)])  # an hour after the dose, less 2 s
    assert told(of, "insulin-on-board")[0].tolist() == [[pytest.approx(4 * 0.5 ** (3598 / 3600)), 110.0]]
    assert told(of, "shock-index")[0].tolist() == [[pytest.approx(80 / 120)]]
    assert sorted(told(of, "telling")[0][:, 0].tolist()) == [15.0, 80.0, 110.0, 120.0]
    assert told(of, "last-value")[3][0] == {"value": 80.0}
    assert told(of, "channel")[0][:, 0].round().tolist()[0] == 80
    charted = [*course, (3, "p", Fact(patient="p", kind="consciousness", time=0, value="V"))]
    of = played([*admitted(), *map(record, charted), end(charted)])
    assert told(of, "deterioration")[3] == [
        {"respiratory_rate": 0, "systolic_bp": 0, "pulse": 0, "consciousness": 3, "oxygen": 2}
    ]
    assert told(of, "deterioration")[0].tolist() == [[5.0]]


@every_twin
@given(course=events(), days=st.integers(-3000, 3000), seconds=st.integers(0, 86_399))
@settings(max_examples=15, deadline=None)
def test_shifted_times_shift_only_times(name, course, days, seconds):
    shift = (days * 86_400 + seconds) * S
    here = played([*admitted(), *map(record, course), end(course)])
    there = played([*admitted(at=T0 + shift), *(record(one, T0 + shift) for one in course), end(course, T0 + shift)])
    agree(told(here, name), told(there, name), shift)


@every_twin
@given(course=events())
@settings(max_examples=15, deadline=None)
def test_a_record_that_comes_again_changes_nothing(name, course):
    records = list(map(record, course))
    once = played([*admitted(), *records, end(course)])
    twice = played([*admitted(), *(one for one in records for _ in range(2)), end(course)])
    agree(told(once, name), told(twice, name))


@every_twin
@given(course=events(), cuts=st.lists(st.integers(1, 3599), max_size=5))
@settings(max_examples=15, deadline=None)
def test_a_gap_in_parts_is_the_gap(name, course, cuts):
    start = course[-1][0]
    ticks = [Tick(received=T0 + (start + cut) * S) for cut in sorted(cuts)]
    at_once = played([*admitted(), *map(record, course), end(course, later=3600)])
    in_parts = played([*admitted(), *map(record, course), *ticks, end(course, later=3600)])
    agree(told(at_once, name), told(in_parts, name), rtol=1e-9)


@every_twin
@given(course=events(), cut=st.integers(0, 25))
@settings(max_examples=15, deadline=None)
def test_kept_and_restored_the_future_is_the_same(name, course, cut):
    cut = min(cut, len(course))
    begin, rest = [*admitted(), *map(record, course[:cut])], [*map(record, course[cut:]), end(course)]
    whole = played(begin)
    raw = msgspec.msgpack.encode(block_of(whole, 0, len(begin) - 1))
    again = bank()
    restore(again, msgspec.msgpack.decode(raw, type=Block))
    assert again.models.begun == []
    again.time = whole.time
    played(rest, whole, len(begin))
    played(rest, again, len(begin))
    agree(told(whole, name), told(again, name))
    assert msgspec.msgpack.encode(block_of(whole, 0, 99).models) == msgspec.msgpack.encode(
        block_of(again, 0, 99).models
    )


@every_twin
@given(course=events())
@settings(max_examples=15, deadline=None)
def test_a_batch_is_one_by_one(name, course):
    singly = []
    for at, patient, what in course:
        if isinstance(what, Fact):
            singly.append(record((at, patient, what)))
        else:
            singly += [readings(patient, {key: value}, T0 + at * S) for key, value in what.items()]
    whole = played([*admitted(), *map(record, course), end(course)])
    agree(told(whole, name), told(played([*admitted(), *singly, end(course)]), name))


@every_twin
@given(course=events(), other=events("q"))
@settings(max_examples=15, deadline=None)
def test_patients_do_not_leak_into_one_another(name, course, other):
    both = sorted([*course, *other], key=lambda one: one[0])
    last = [(max(course[-1][0], other[-1][0]), "", None)]
    alone = played([*admitted(), *map(record, course), end(last)])
    together = played([*admitted(("q", "p")), *map(record, both), end(last)])
    agree(told(alone, name), told(together, name))


@every_twin
@given(former=events(), course=events())
@settings(max_examples=15, deadline=None)
def test_forgetting_leaves_nothing(name, former, course):
    over = T0 + (former[-1][0] + 10) * S
    of = played([*admitted(), *map(record, former), end(former), Discharge(patient="p", received=over)])
    number = of.index["p"]
    assert (of.slot[number] < 0).all()
    for model in of.models:
        state = of.models.state[model.name]
        assert state.tobytes() == bytes(state.nbytes), model.name
    assert (of.parts[number] == BLANK["parts"]).all()
    mean, _, _, explained = told(of, name)
    assert np.isnan(mean).all() or not len(mean)
    assert not any(value for one in explained for value in one.values())
    begin = over + 10 * S
    after = [*admitted(at=begin), *(record(one, begin) for one in course), end(course, begin)]
    fresh = played(after)
    agree(told(fresh, name), told(played(after, of, 1000), name))
