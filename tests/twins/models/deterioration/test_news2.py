"""NEWS2 against the published chart, written again here from the Royal College of Physicians' report."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.models.deterioration.news2 import (
    CONSCIOUSNESS,
    FORGOTTEN_AFTER_S,
    HIGHEST_PART,
    MISSING,
    PARAMETERS,
    STALE_AFTER_S,
    risk,
    score,
    score_parts,
    summarise,
)

# Chart 1 of the report, row by row: (from, to inclusive, points). Royal College of Physicians, NEWS2, London 2017.
RESPIRATORY = [(0, 8, 3), (9, 11, 1), (12, 20, 0), (21, 24, 2), (25, 200, 3)]
SCALE_1 = [(0, 91, 3), (92, 93, 2), (94, 95, 1), (96, 100, 0)]
SCALE_2_AIR = [(0, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 100, 0)]
SCALE_2_OXYGEN = [(0, 83, 3), (84, 85, 2), (86, 87, 1), (88, 92, 0), (93, 94, 1), (95, 96, 2), (97, 100, 3)]
SYSTOLIC = [(0, 90, 3), (91, 100, 2), (101, 110, 1), (111, 219, 0), (220, 400, 3)]
PULSE = [(0, 40, 3), (41, 50, 1), (51, 90, 0), (91, 110, 1), (111, 130, 2), (131, 300, 3)]
TEMPERATURE_TENTHS = [(0, 350, 3), (351, 360, 1), (361, 380, 0), (381, 390, 1), (391, 500, 2)]

WELL = {
    "respiratory_rate": 16.0, "oxygen_saturation": 97.0, "oxygen": 0.0, "systolic_bp": 120.0, "pulse": 70.0,
    "consciousness": 0.0, "temperature": 37.0,
}  # fmt: skip
DYING = {
    "respiratory_rate": 30.0, "oxygen_saturation": 80.0, "oxygen": 10.0, "systolic_bp": 70.0, "pulse": 150.0,
    "consciousness": 4.0, "temperature": 34.0,
}  # fmt: skip


def chart(rows, step):
    """The points of the chart for a whole number of steps."""
    return next(points for low, high, points in rows if low <= step <= high)


def edges(rows):
    """The first and last step of every band: the boundary values on both sides."""
    return sorted({step for low, high, _ in rows for step in (low, high)})


def part(name, value, **options):
    return score(WELL | {name: value}, **options).parts[name]


@pytest.mark.parametrize("rate", edges(RESPIRATORY))
def test_respiratory_rate(rate):
    assert part("respiratory_rate", float(rate)) == chart(RESPIRATORY, rate)


@pytest.mark.parametrize("oxygen", [0.0, 1.0, 15.0])
@pytest.mark.parametrize("spo2", edges(SCALE_1))
def test_saturation_on_scale_1_whatever_the_oxygen(spo2, oxygen):
    assert score(WELL | {"oxygen_saturation": spo2, "oxygen": oxygen}).parts["oxygen_saturation"] == chart(
        SCALE_1, spo2
    )


@pytest.mark.parametrize(("oxygen", "rows"), [(0.0, SCALE_2_AIR), (1.0, SCALE_2_OXYGEN), (0.5, SCALE_2_OXYGEN)])
@pytest.mark.parametrize("spo2", edges(SCALE_2_OXYGEN))
def test_saturation_on_scale_2(spo2, oxygen, rows):
    parts = score(WELL | {"oxygen_saturation": spo2, "oxygen": oxygen}, scale2=True).parts
    assert parts["oxygen_saturation"] == chart(rows, spo2)


def test_scale_2_is_used_only_where_prescribed():
    retainer = WELL | {"oxygen_saturation": 89.0, "oxygen": 1.0}
    assert score(retainer).parts["oxygen_saturation"] == 3
    assert score(retainer, scale2=True).parts["oxygen_saturation"] == 0
    assert score(WELL | {"oxygen_saturation": 98.0, "oxygen": 1.0}).parts["oxygen_saturation"] == 0


@pytest.mark.parametrize("pressure", edges(SYSTOLIC))
def test_systolic_pressure(pressure):
    assert part("systolic_bp", float(pressure)) == chart(SYSTOLIC, pressure)


@pytest.mark.parametrize("rate", edges(PULSE))
def test_pulse(rate):
    assert part("pulse", float(rate)) == chart(PULSE, rate)


@pytest.mark.parametrize("tenths", edges(TEMPERATURE_TENTHS))
def test_temperature(tenths):
    assert part("temperature", tenths / 10) == chart(TEMPERATURE_TENTHS, tenths)


def test_consciousness_and_oxygen():
    for letter, points in {"A": 0, "C": 3, "V": 3, "P": 3, "U": 3}.items():
        assert part("consciousness", float(CONSCIOUSNESS[letter])) == points
    assert part("oxygen", 0.0) == 0
    assert part("oxygen", 1.0) == 2
    assert part("oxygen", 0.25) == 2


@pytest.mark.parametrize(
    ("name", "value", "as_charted"),
    [
        ("respiratory_rate", 8.4, 8), ("respiratory_rate", 8.5, 9), ("respiratory_rate", 20.49, 20),
        ("respiratory_rate", 20.5, 21), ("respiratory_rate", 24.5, 25), ("oxygen_saturation", 91.5, 92),
        ("oxygen_saturation", 91.499, 91), ("oxygen_saturation", 95.5, 96), ("systolic_bp", 90.5, 91),
        ("systolic_bp", 219.4, 219), ("systolic_bp", 219.5, 220), ("pulse", 130.4, 130), ("pulse", 130.5, 131),
        ("temperature", 35.04, 35.0), ("temperature", 35.05, 35.1), ("temperature", 38.05, 38.1),
        ("temperature", 39.049, 39.0), ("temperature", 39.05, 39.1), ("respiratory_rate", 20.5 - 1e-12, 21),
    ],
)  # fmt: skip
def test_estimates_are_rounded_as_charted_halves_upward(name, value, as_charted):
    assert part(name, value) == part(name, as_charted)


@pytest.mark.parametrize("tenths", range(3000, 4200, 5))
def test_a_half_in_decimal_is_a_half_in_binary(tenths):
    assert part("temperature", tenths / 100) == chart(TEMPERATURE_TENTHS, (tenths + 5) // 10)


def test_the_worst_is_20_and_the_best_0():
    assert score(DYING).total == 20 == sum(HIGHEST_PART)
    assert score(DYING).risk == "high"
    assert score(WELL).total == 0
    assert not score(WELL).partial


# Computed by hand from the chart.
CASES = [
    # breathless on 2 L/min: RR 22 (2), SpO2 95 (1), oxygen (2), SBP 108 (1), pulse 95 (1), alert, 38.4 (1)
    ({"respiratory_rate": 22, "oxygen_saturation": 95, "oxygen": 2, "systolic_bp": 108, "pulse": 95,
      "consciousness": 0, "temperature": 38.4}, False, 8, "high"),
    # new confusion alone
    (WELL | {"consciousness": 1.0}, False, 3, "low-medium"),
    # COPD on scale 2, 90 % on 1 L/min: only the oxygen
    (WELL | {"oxygen_saturation": 90.0, "oxygen": 1.0}, True, 2, "low"),
    # the same patient with too much oxygen, at 97 %: 3 + 2
    (WELL | {"oxygen_saturation": 97.0, "oxygen": 1.0}, True, 5, "medium"),
    # fever and a racing heart: 39.1 (2), pulse 112 (2), RR 21 (2)
    (WELL | {"temperature": 39.1, "pulse": 112.0, "respiratory_rate": 21.0}, False, 6, "medium"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "scale2", "total", "expected"), CASES)
def test_whole_patients(values, scale2, total, expected):
    found = score(values, scale2=scale2)
    assert (found.total, found.risk, found.partial) == (total, expected, False)


@pytest.mark.parametrize(
    ("total", "parts", "expected"),
    [(0, {}, "low"), (4, {"pulse": 2}, "low"), (3, {"pulse": 3}, "low-medium"), (4, {"pulse": 3}, "low-medium"),
     (5, {"pulse": 3}, "medium"), (6, {}, "medium"), (7, {}, "high"), (20, {}, "high")],
)  # fmt: skip
def test_thresholds(total, parts, expected):
    assert risk(total, parts) == expected


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("gone", [None, nan, inf])
def test_a_missing_input_is_named_and_never_a_zero(name, gone):
    values = {key: value for key, value in DYING.items() if key != name} | ({} if gone is None else {name: gone})
    found = score(values)
    assert found.missing == (name,)
    assert name not in found.parts
    assert found.partial
    assert found.total == 20 - HIGHEST_PART[PARAMETERS.index(name)]
    assert found.at_most == 20


def test_without_inputs_the_risk_is_unknown():
    found = score({})
    assert (found.total, found.at_most, found.risk, found.missing) == (0, 20, "unknown", PARAMETERS)


def test_scale_2_without_knowing_the_oxygen():
    unknown = {name: value for name, value in WELL.items() if name != "oxygen"}
    assert score(unknown | {"oxygen_saturation": 95.0}, scale2=True).missing == ("oxygen_saturation", "oxygen")
    low = score(unknown | {"oxygen_saturation": 86.0}, scale2=True)
    assert low.missing == ("oxygen",)
    assert low.parts["oxygen_saturation"] == 1
    assert score(unknown | {"oxygen_saturation": 95.0}).missing == ("oxygen",)


@pytest.mark.parametrize("name", PARAMETERS)
def test_ages_make_stale_then_missing(name):
    def at(age):
        return score(DYING, {name: age})

    assert at(STALE_AFTER_S[name] - 1).stale == ()
    stale = at(STALE_AFTER_S[name])
    assert (stale.stale, stale.missing, stale.total) == ((name,), (), 20)
    assert at(FORGOTTEN_AFTER_S[name]).missing == ()
    forgotten = at(FORGOTTEN_AFTER_S[name] + 1)
    assert (forgotten.stale, forgotten.missing) == ((), (name,))
    assert forgotten.ages_s == {name: FORGOTTEN_AFTER_S[name] + 1}
    assert STALE_AFTER_S[name] < FORGOTTEN_AFTER_S[name]


def test_a_code_outside_the_scale_is_missing():
    for code in (-1.0, 0.5, 5.0):
        assert score(WELL | {"consciousness": code}).missing == ("consciousness",)


def test_summarise_needs_seven_parts():
    with pytest.raises(ValueError, match="shorter"):
        summarise([0, 0])


# ── the kernel ───────────────────────────────────────────────────────────────────────────────────

around = {
    "respiratory_rate": st.floats(0, 60), "oxygen_saturation": st.floats(70, 100),
    "oxygen": st.sampled_from([0.0, 0.5, 1.0, 15.0]), "systolic_bp": st.floats(50, 260), "pulse": st.floats(20, 200),
    "consciousness": st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0]), "temperature": st.floats(32, 42),
}  # fmt: skip
patient = st.fixed_dictionaries({name: values | st.just(nan) for name, values in around.items()})


def nearest(value, steps_per_unit=1):
    """Rounding in decimal arithmetic, halves upward, ties to nine places."""
    from decimal import ROUND_HALF_UP, Decimal  # noqa: PLC0415 (only the oracle needs it)

    scaled = (Decimal(value) * steps_per_unit).quantize(Decimal("1e-9"))
    return int(scaled.quantize(Decimal(1), ROUND_HALF_UP))


def by_hand(values, scale2):
    """The seven parts in plain Python, from the tables above."""

    def looked_up(name, rows, steps=1):
        return MISSING if np.isnan(values[name]) else chart(rows, nearest(values[name], steps))

    oxygen = values["oxygen"]
    if not scale2:
        saturation = looked_up("oxygen_saturation", SCALE_1)
    else:
        air, on_oxygen = (looked_up("oxygen_saturation", rows) for rows in (SCALE_2_AIR, SCALE_2_OXYGEN))
        saturation = (air if air == on_oxygen else MISSING) if np.isnan(oxygen) else on_oxygen if oxygen else air
    return [
        looked_up("respiratory_rate", RESPIRATORY),
        saturation,
        MISSING if np.isnan(oxygen) else 2 * (oxygen > 0),
        looked_up("systolic_bp", SYSTOLIC),
        looked_up("pulse", PULSE),
        MISSING if np.isnan(values["consciousness"]) else 3 * (values["consciousness"] > 0),
        looked_up("temperature", TEMPERATURE_TENTHS, 10),
    ]


def columns_of(patients):
    return [np.array([values[name] for values in patients]) for name in PARAMETERS]


@given(st.lists(st.tuples(patient, st.booleans()), max_size=12))
def test_the_kernel_scores_columns_as_the_chart_scores_patients(ward):
    patients = [values for values, _ in ward]
    parts = np.full((len(ward), 7), 9, np.int8)
    score_parts(*columns_of(patients), np.array([scale2 for _, scale2 in ward], np.bool_), parts)
    assert parts.tolist() == [by_hand(values, scale2) for values, scale2 in ward]
    for row, (values, scale2) in zip(parts.tolist(), ward, strict=True):
        found = score(values, scale2=scale2)
        assert found == summarise(row)
        assert 0 <= found.total <= found.at_most <= 20


def test_the_kernel_takes_read_only_and_strided_columns():
    plain = columns_of([WELL, DYING])
    block = np.stack(plain, axis=1)
    block.flags.writeable = False
    scale2 = np.frombuffer(b"\x00\x00", np.bool_)
    for columns in (plain, [np.frombuffer(column.tobytes()) for column in plain], list(block.T)):
        parts = np.empty((2, 7), np.int8)
        score_parts(*columns, scale2, parts)
        assert parts.tolist() == [[0] * 7, list(HIGHEST_PART)]
