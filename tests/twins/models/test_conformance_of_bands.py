"""What every channel's bands promise, as the step runs them: no leak between patients, doubt that decays, order of arrival.

The order in which readings of different channels come changes nothing at all. A late reading that is inserted in its channel
gives the same state of the filter. Forecasts are judged as readings come, and are not judged again: what was learnt from
results can differ, and bands with it by a part of their width.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.frame import as_record
from tests.twins.models.test_conformance_in_bank import T0, S, admitted
from twins.bank import layout
from twins.bank.arrays import OF_READINGS
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.models.channel.fan import fan
from twins.records import Columns, Discharge
from twins.signals import BY_NAME
from twins.step.dispatch import step
from twins.step.estimates import estimates_of

USUAL_S = {"heart_rate": 60, "oxygen_saturation": 3600, "diastolic_bp": 300, "respiratory_rate": 3600, "glucose": 300}
EIGHTY = (0.1, 0.9)


def frame(readings):
    """Readings (patient, signal, second, value) as one record, in this order."""
    patients = sorted({patient for patient, *_ in readings})
    return as_record(
        Columns(
            patients,
            np.array([patients.index(patient) for patient, *_ in readings], "<u4"),
            np.array([BY_NAME[signal].code for _, signal, *_ in readings], "<u2"),
            np.array([T0 + at * S for *_, at, _ in readings], "<i8"),
            np.array([value for *_, value in readings], "<f8"),
        ),
        T0 + max(at for *_, at, _ in readings) * S,
    )


def ran(records, patients=("p",)):
    bank = Bank()
    for place, one in enumerate([*admitted(patients), *records]):
        step(bank, one, place)
    return bank


def row_of(bank, patient, signal):
    return int(bank.slot[bank.index[patient], BY_NAME[signal].code])


def everything(bank, patient, signal):
    row = row_of(bank, patient, signal)
    return {name: getattr(bank, name)[row].tobytes() for name in OF_READINGS}


def fan_of(bank, patient, signal, minutes, quantiles=EIGHTY):
    rows = estimates_of(bank, np.array([row_of(bank, patient, signal)]), bank.time).rows
    return fan(rows["belief"], rows["signal"], (minutes,), quantiles)[0, 0]


def course(signal, count, seed, *, wild=1.0, jumps=0.0):
    """Readings of a patient that move as the model says, times ``wild``; ``jumps`` of them are the beginning of a step."""
    one, chance = BY_NAME[signal], np.random.default_rng(seed)
    every = USUAL_S[signal]
    stay = np.exp(-every / one.modes.fast_s)
    fast = step_by = 0.0
    values = []
    for _ in range(count):
        fast = stay * fast + chance.normal(0, one.modes.fast_sd * np.sqrt(1 - stay**2))
        step_by += chance.normal(0, 2 * one.modes.fast_sd) if chance.random() < jumps else 0.0
        values.append(
            float(np.clip(one.modes.mean + wild * fast + step_by, one.plausible[0] + 1, one.plausible[1] - 1))
        )
    return [(signal, every * k, value) for k, value in enumerate(values, 1)]


@pytest.mark.parametrize("signal", USUAL_S)
def test_calibration_does_not_leak_between_patients(signal):
    """A restless neighbour, its discharge, and a newcomer in its place: each patient is as if alone, bit for bit."""
    count = 150
    calm = [("b", *one) for one in course(signal, count, 1)]
    restless = [("a", *one) for one in course(signal, count, 2, wild=3.0, jumps=0.05)]
    together = ran([frame([x, y]) for x, y in zip(calm, restless, strict=True)], ("a", "b"))
    alone = ran([frame([x]) for x in calm], ("b",))
    assert everything(together, "b", signal) == everything(alone, "b", signal)
    assert (
        together.stretch[row_of(together, "a", signal)].tobytes() != alone.stretch[row_of(alone, "b", signal)].tobytes()
    )
    after = USUAL_S[signal] * (count + 1)
    own = [("c", name, after + at, value) for name, at, value in course(signal, count, 3)]
    step(together, Discharge(patient="a", received=T0 + (after - 1) * S), 2 + count)
    for place, one in enumerate([*admitted(("c",), T0 + after * S), *(frame([x]) for x in own)], 3 + count):
        step(together, one, place)
    newcomer = ran([*admitted(("c",), T0 + after * S), *(frame([x]) for x in own)], ())
    assert everything(together, "c", signal) == everything(newcomer, "c", signal)
    restored = Bank()
    restore(restored, block_of(together, 0, 1))
    assert everything(restored, "b", signal) == everything(alone, "b", signal)


def width_here(bank, signal, minutes):
    """The width of the band without what the table says of the level, which a step changes for good."""
    rows = estimates_of(bank, np.array([row_of(bank, "p", signal)]), bank.time).rows
    belief, mean = rows["belief"].copy(), BY_NAME[signal].modes.mean
    belief[:, layout.B_SLOW] -= belief[:, layout.B_LEVEL] - mean
    belief[:, layout.B_LEVEL] = mean
    low, high = fan(belief, rows["signal"], (minutes,), EIGHTY)[0, 0]
    return float(high - low)


@pytest.mark.parametrize("signal", USUAL_S)
def test_a_steps_honesty_decays(signal):
    """With the first reading after a step that lasts, the band is much wider than that of a twin without a step.

    A hundred readings later it is as wide, on the average of 250 readings.
    """
    minutes, at = max(30, USUAL_S[signal] // 60), 150
    calm = course(signal, 500, 4)
    by = 5.0 * BY_NAME[signal].modes.fast_sd * (-1 if signal == "oxygen_saturation" else 1)
    stepped = [(name, when, value + (by if place >= at else 0.0)) for place, (name, when, value) in enumerate(calm)]
    widths = []
    for readings in (calm, stepped):
        bank = ran([frame([("p", *one)]) for one in readings[:at]])
        widths.append([])
        for place, one in enumerate(readings[at:], at + 1):
            step(bank, frame([("p", *one)]), place)
            widths[-1].append(width_here(bank, signal, minutes))
    without, after = np.array(widths)
    assert after[0] > 1.25 * without[0]
    assert after[100:].mean() < 1.25 * without[100:].mean()


@st.composite
def shuffled(draw):
    """Readings of two patients and two signals, each channel in order, but the channels mixed in any way."""
    seed = draw(st.integers(0, 1 << 30))
    channels = [
        [(patient, *one) for one in course(signal, 40, seed + number, jumps=0.1)]
        for number, (patient, signal) in enumerate((p, s) for p in ("a", "b") for s in ("heart_rate", "diastolic_bp"))
    ]
    order = draw(st.permutations([number for number in range(4) for _ in range(40)]))
    places = [iter(channel) for channel in channels]
    mixed = [next(places[number]) for number in order]
    cuts = sorted(draw(st.lists(st.integers(1, len(mixed) - 1), max_size=6)))
    return channels, [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True) if a < b]


@given(case=shuffled())
@settings(max_examples=20, deadline=None)
def test_the_order_in_which_channels_arrive_does_not_matter(case):
    channels, batches = case
    one_by_one = ran([frame([x]) for channel in channels for x in channel], ("a", "b"))
    mixed = ran([frame(batch) for batch in batches], ("a", "b"))
    for patient in ("a", "b"):
        for signal in ("heart_rate", "diastolic_bp"):
            for name in ("state", "due", "forecasts", "made", "stretch", "recent", "tried"):
                mine, other = (getattr(bank, name)[row_of(bank, patient, signal)] for bank in (mixed, one_by_one))
                assert mine.tobytes() == other.tobytes(), name


@given(seed=st.integers(0, 1 << 30), late=st.lists(st.integers(1, 14), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_late_readings_give_the_filter_of_readings_in_time(seed, late):
    """The filter's part of a forecast is bit for bit the same; the bands differ by no more than a part of their width."""
    readings = [("p", *one) for one in course("heart_rate", 240, seed)]
    delayed = list(range(len(readings)))
    for number, by in enumerate(late):
        at = 15 + 17 * number
        delayed.insert(min(at + by, len(delayed) - 1), delayed.pop(at))
    banks = [ran([frame([readings[place]]) for place in order]) for order in (range(len(readings)), delayed)]
    rows = [estimates_of(bank, np.array([row_of(bank, "p", "heart_rate")]), bank.time).rows for bank in banks]
    in_time, arrived = (one["belief"][0, : layout.B_STRETCH].tobytes() for one in rows)
    assert arrived == in_time
    for minutes in (5, 30, 120):
        low, high = fan_of(banks[0], "p", "heart_rate", minutes)
        assert fan_of(banks[1], "p", "heart_rate", minutes) == pytest.approx([low, high], abs=0.35 * float(high - low))
