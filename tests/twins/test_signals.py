"""The table of signals is consistent with itself, with the published codes, and with its document."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from itertools import pairwise
from math import isnan
from pathlib import Path

import pytest

from twins.alarms.agreement import PAIRS
from twins.signals import BY_NAME, FILTERED, SECOND_SOURCE, SIGNALS, Signal

ROOT = Path(__file__).parent.parent.parent

# These codes are on the wire and in logs already: rows are appended, never moved.
NAMES = (
    "heart_rate", "pulse_rate", "respiratory_rate", "oxygen_saturation", "arterial_oxygen_saturation", "systolic_bp",
    "diastolic_bp", "mean_bp", "arterial_systolic_bp", "arterial_diastolic_bp", "arterial_mean_bp", "body_temperature",
    "skin_temperature", "perfusion_index", "glucose", "capillary_glucose", "blood_glucose", "blood_ketone",
    "insulin_bolus", "insulin_basal", "insulin_long_acting", "insulin_premixed", "oxygen_flow",
    "inspired_oxygen_fraction", "glasgow_coma_scale", "second_oxygen_saturation",
)  # fmt: skip

every = pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
filtered = pytest.mark.parametrize("signal", [s for s in SIGNALS if s.filtered], ids=lambda signal: signal.name)


def luhn(digits: str) -> int:
    """The check digit of LOINC: mod 10 over the digits, the rightmost one doubled first."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return -total % 10


def test_codes_are_indices_and_never_change():
    assert tuple(signal.name for signal in SIGNALS[: len(NAMES)]) == NAMES
    assert [signal.code for signal in SIGNALS] == list(range(len(SIGNALS)))
    assert {name: signal.name for name, signal in BY_NAME.items()} == {name: name for name in BY_NAME}
    assert FILTERED.tolist() == [signal.filtered for signal in SIGNALS]


@every
def test_loinc_codes_have_a_valid_check_digit(signal: Signal):
    for code in signal.loinc:
        number, _, check = code.partition("-")
        assert int(check) == luhn(number), code


def test_a_foreign_code_means_one_signal():
    for kind in ("loinc", "mdc"):
        codes = [code for signal in SIGNALS for code in getattr(signal, kind)]
        assert len(codes) == len(set(codes)), kind


# ISO/IEEE 11073-10101: partition 2 (SCADA) and the term of each quantity; systolic, diastolic, mean follow a panel.
SCADA = 2 << 16
PRESSURES = {18948: "", 19228: "", 18960: "arterial_", 18964: "arterial_"}


@pytest.mark.parametrize("panel", PRESSURES)
@pytest.mark.parametrize(("offset", "phase"), [(1, "systolic"), (2, "diastolic"), (3, "mean")])
def test_a_pressure_is_not_confused_with_its_neighbour(panel: int, offset: int, phase: str):
    assert SCADA + panel + offset in BY_NAME[f"{PRESSURES[panel]}{phase}_bp"].mdc


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("heart_rate", 16770), ("pulse_rate", 18458), ("respiratory_rate", 20490), ("oxygen_saturation", 19384),
        ("body_temperature", 19292), ("skin_temperature", 19316), ("perfusion_index", 19416), ("glucose", 29140),
        ("capillary_glucose", 29112),
    ],
)  # fmt: skip
def test_mdc_codes_are_partition_and_term(name: str, term: int):
    assert SCADA + term in BY_NAME[name].mdc


@every
def test_plausible_values_are_a_range_around_the_usual(signal: Signal):
    low, high = signal.plausible
    assert low < high
    if signal.filtered:
        assert low < signal.modes.mean - signal.modes.fast_sd
        assert signal.modes.mean + signal.modes.fast_sd < high
        assert signal.jump < (high - low) / 2


@filtered
def test_limits_are_ordered_within_the_plausible_and_farther_apart_than_hysteresis(signal: Signal):
    limits = signal.limits
    order = [limits.critical_low, limits.low, limits.high, limits.critical_high]
    present = [limit for limit in order if not isnan(limit)]
    for lower, upper in pairwise(present):
        assert upper - lower > signal.hysteresis
    for limit in present:
        assert signal.plausible[0] < limit < signal.plausible[1]
    if present:
        assert signal.hysteresis >= signal.step
        assert signal.critical_delay_s <= signal.delay_s


@filtered
def test_noise_figures_make_a_filter(signal: Signal):
    modes = signal.modes
    assert 0 < modes.noise_sd < modes.fast_sd
    assert 0 < modes.fast_s < modes.slow_s
    assert -1 <= modes.coupling <= 0
    assert signal.silence_s > signal.delay_s


def test_a_second_source_measures_the_same_and_has_a_pair():
    own = {"code", "name", "loinc", "mdc", "predictive_priority", "second"}
    shared = [name for name in Signal.__struct_fields__ if name not in own]
    for first in (signal for signal in SIGNALS if signal.second):
        second = BY_NAME[first.second]
        assert [repr(getattr(second, name)) for name in shared] == [repr(getattr(first, name)) for name in shared]
        assert second.modes == first.modes
        assert (first.name, second.name) in {(pair.first, pair.second) for pair in PAIRS}
        assert SECOND_SOURCE[first.code] == SECOND_SOURCE[second.code] == second.code
    others = [signal.code for signal in SIGNALS if not signal.second]
    assert SECOND_SOURCE[others].tolist() == others


def signals_doc():
    loader = SourceFileLoader("signals_doc", str(ROOT / "infra" / "signals-doc"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_document_is_generated_from_the_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    written = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    assert written == signals_doc().page(), "generate it again: .venv/bin/python infra/signals-doc > docs/signals.md"
