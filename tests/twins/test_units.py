"""Devices' units are converted to each signal's own unit by published factors; a unit that contradicts the signal is
refused.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.signals import BY_NAME, SIGNALS
from twins.units import accepted, factor

PAIRS = [(signal, unit) for signal in SIGNALS for unit in accepted(signal)]

# (signal, value, unit, value in the signal's unit, tolerance): computed by hand or printed in the source that is named.
PUBLISHED = [
    # ADA and IDF tables: 70, 180, 250 mg/dL are 3.9, 10.0, 13.9 mmol/L (rounded to 0.1, hence the tolerance)
    ("glucose", 3.9, "mmol/L", 70, 0.9),
    ("glucose", 10.0, "mmol/L", 180, 0.9),
    ("glucose", 13.9, "mmol/L", 250, 0.9),
    # molar mass of glucose 180.156 g/mol
    ("glucose", 1.0, "mmol/L", 18.0156, 1e-12),
    ("capillary_glucose", 5.5, "mmol/l", 99.0858, 1e-9),
    ("blood_glucose", 0.9, "g/L", 90, 1e-9),
    ("blood_ketone", 600, "umol/L", 0.6, 1e-12),
    ("body_temperature", 98.6, "[degF]", 37.0, 1e-9),
    ("body_temperature", 212, "°F", 100.0, 1e-9),
    ("body_temperature", 32, "degF", 0.0, 1e-9),
    ("body_temperature", -40, "F", -40.0, 1e-9),
    ("body_temperature", 104, "℉", 40.0, 1e-9),
    ("skin_temperature", 310.15, "K", 37.0, 1e-9),
    # 16.0 kPa is 120 mmHg, 10.7 kPa is 80 mmHg on every bilingual sphygmomanometer
    ("systolic_bp", 16.0, "kPa", 120, 0.05),
    ("diastolic_bp", 10.7, "kPa", 80, 0.3),
    # one standard atmosphere, 101.325 kPa, is 760 mmHg (1 part in 7 million apart from the torr)
    ("arterial_mean_bp", 101.325, "kPa", 760, 2e-4),
    ("mean_bp", 1013.25, "hPa", 760, 2e-4),
    ("systolic_bp", 12, "cm[Hg]", 120, 0),
    ("heart_rate", 1.2, "Hz", 72, 1e-12),
    ("respiratory_rate", 0.25, "/s", 15, 0),
    ("oxygen_saturation", 0.97, "1", 97, 1e-12),
    ("inspired_oxygen_fraction", 0.21, "1", 21, 1e-12),
    ("oxygen_flow", 500, "mL/min", 0.5, 1e-12),
    ("perfusion_index", 2.5, "%", 2.5, 0),
    ("insulin_basal", 0.85, "[iU]/h", 0.85, 0),
]

SAME = {
    "heart_rate": ["bpm", "beats/min", "{beats}/min", "1/min"],
    "pulse_rate": ["bpm", "{beat}/min"],
    "respiratory_rate": ["breaths/min", "{breaths}/min", "rpm", "bpm"],
    "oxygen_saturation": ["%"],
    "systolic_bp": ["mmHg", "mm[Hg]"],
    "body_temperature": ["C", "°C", "Cel", "degC"],
    "glucose": ["mg/dl", "mg/dL"],
    "insulin_bolus": ["U", "IU", "[iU]"],
    "glasgow_coma_scale": ["1", "{score}"],
}

REFUSED = [
    ("blood_ketone", "mg/dL"), ("respiratory_rate", "{beats}/min"), ("heart_rate", "breaths/min"),
    ("glucose", "%"), ("oxygen_saturation", "kPa"), ("insulin_basal", "U"), ("insulin_bolus", "U/h"),
    ("body_temperature", "[DEGF]"), ("glucose", ""), ("glucose", "mg/dL "), ("systolic_bp", "Pa"),
    ("perfusion_index", "{fraction}"), ("oxygen_flow", "/min"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "unit", "expected", "tolerance"), PUBLISHED)
def test_published_conversions(name, value, unit, expected, tolerance):
    conversion = factor(BY_NAME[name], unit)
    assert conversion
    scale, offset = conversion
    assert value * scale + offset == pytest.approx(expected, abs=tolerance, rel=0)


@pytest.mark.parametrize(("name", "unit"), [(name, unit) for name, units in SAME.items() for unit in units])
def test_common_spellings_change_nothing(name, unit):
    assert factor(BY_NAME[name], unit) == (1.0, 0.0)


@pytest.mark.parametrize(("name", "unit"), REFUSED)
def test_a_unit_that_contradicts_the_signal_is_refused(name, unit):
    assert factor(BY_NAME[name], unit) is None


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_the_signals_own_unit_comes_first_and_is_exact(signal):
    assert accepted(signal)[0] == signal.unit
    assert factor(signal, signal.unit) == (1.0, 0.0)
    assert len(accepted(signal)) == len(set(accepted(signal)))


def inverse(value: float, unit: str) -> float:
    """A Celsius, mg/dL, mm[Hg] … value in another unit, from the definitions and not from the table."""
    match unit:
        case "mmol/L":
            return value * 10 / 180.156
        case "[degF]":
            return value * 9 / 5 + 32
        case "K":
            return value + 273.15
        case "kPa":
            return value * 0.133322387415
        case "1":
            return value / 100
    raise AssertionError(unit)


@given(
    pair=st.sampled_from([
        ("glucose", "mmol/L"), ("capillary_glucose", "mmol/L"), ("body_temperature", "[degF]"),
        ("skin_temperature", "K"), ("arterial_systolic_bp", "kPa"), ("oxygen_saturation", "1"),
    ]),
    at=st.floats(0, 1),
)  # fmt: skip
def test_there_and_back_by_the_definition(pair, at):
    name, unit = pair
    low, high = BY_NAME[name].plausible
    value = low + at * (high - low)
    scale, offset = factor(BY_NAME[name], unit)
    assert inverse(value, unit) * scale + offset == pytest.approx(value, rel=1e-12, abs=1e-9)


@given(st.sampled_from(PAIRS), st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_every_conversion_keeps_the_order(pair, value, more):
    scale, offset = factor(*pair)
    assert (value + more) * scale + offset > value * scale + offset
    assert offset == 0 or pair[0].unit == "Cel"
