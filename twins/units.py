"""Conversion of the units that devices send into the one unit of each signal.

Every conversion is ``canonical = value * scale + offset``. The key is the exact text of the unit. UCUM codes are case
sensitive (``Cel``, ``mm[Hg]``, ``[degF]``). The table also has the spellings that devices really use (``mmHg``,
``°C``, ``bpm``). The signal fixes the dimension, so a spelling that means something else in UCUM (``C`` is a coulomb,
``F`` a farad, ``U`` an enzyme unit) is safe here. A unit that does not fit its signal is refused: the service never
guesses. For example, beats are no respiratory rate, and ``mg/dL`` is no ketone unit, because ketones have another
molar mass than glucose.

Factors:

- glucose, 1 mmol/L = 18.0156 mg/dL, from the molar mass 180.156 g/mol of C6H12O6; bedside practice says 18;
- pressure, 1 mmHg = 133.322387415 Pa (conventional millimetre of mercury, ISO 80000-4; UCUM rounds to 133.322);
- temperature, Cel = (degF - 32) * 5/9 = K - 273.15;
- fractions, unit ``1``, times 100 for saturations and inspired oxygen; never for the perfusion index, whose number is
  a percentage by convention whether it is labelled ``1`` or ``%``.

Insulin is dosed in international units: ``[iU]`` or ``[IU]`` in UCUM, ``U`` on every pump and in this table.
"""

from twins.signals import SIGNALS, Signal

__all__ = ["MG_PER_DL_IN_MMOL_PER_L", "MMHG_IN_KPA", "accepted", "examples", "factor"]

MG_PER_DL_IN_MMOL_PER_L = 18.0156
"""Glucose only: 1 mmol/L in mg/dL."""

MMHG_IN_KPA = 1000.0 / 133.322387415
"""1 kPa in millimetres of mercury, 7.500616."""

Spellings = dict[str, tuple[float, float]]


def _scaled(scale: float, *units: str, offset: float = 0.0) -> Spellings:
    """Several spellings of one unit."""
    return dict.fromkeys(units, (scale, offset))


_PER_MINUTE = (
    _scaled(1.0, "/min", "1/min", "min-1", "min^-1", "{count}/min", "count/min", "bpm", "BPM", "per minute")
    | _scaled(60.0, "/s", "1/s", "s-1", "Hz")
)  # fmt: skip
_BEATS = _scaled(
    1.0, "{beats}/min", "{beat}/min", "{Beats}/min", "{H.B.}/min", "{pulse}/min", "beats/min", "beats/minute",
    "beat/min",
)  # fmt: skip
_BREATHS = _scaled(
    1.0, "{breaths}/min", "{breath}/min", "{Breaths}/min", "{resp}/min", "breaths/min", "breaths/minute", "breath/min",
    "brpm", "rpm", "resp/min",
)  # fmt: skip
_PRESSURE = (
    _scaled(1.0, "mm[Hg]", "mmHg", "mm Hg", "MMHG", "mmhg")
    | _scaled(MMHG_IN_KPA, "kPa", "KPA", "kpa")
    | _scaled(MMHG_IN_KPA / 10.0, "hPa")
    | _scaled(10.0, "cm[Hg]", "cmHg")
)
_TEMPERATURE = (
    _scaled(1.0, "Cel", "cel", "CEL", "°C", "℃", "degC", "deg C", "C", "celsius", "Celsius")
    | _scaled(5.0 / 9.0, "[degF]", "degF", "deg F", "°F", "℉", "F", "fahrenheit", "Fahrenheit", offset=-160.0 / 9.0)
    | _scaled(1.0, "K", "kelvin", offset=-273.15)
)
_PERCENT = _scaled(1.0, "%", "percent", "pct")
_FRACTION = _scaled(100.0, "1", "{fraction}", "fraction")
_GLUCOSE = (
    _scaled(1.0, "mg/dL", "mg/dl", "mg/DL", "MG/DL", "mgdl", "mg%")
    | _scaled(MG_PER_DL_IN_MMOL_PER_L, "mmol/L", "mmol/l", "MMOL/L", "mmol", "mM")
    | _scaled(100.0, "g/L", "g/l")
)
_KETONE = _scaled(1.0, "mmol/L", "mmol/l", "MMOL/L", "mM") | _scaled(1e-3, "umol/L", "umol/l", "µmol/L", "μmol/L")
_INSULIN = _scaled(1.0, "U", "u", "IU", "[iU]", "[IU]", "units", "unit", "{U}")
_INSULIN_RATE = _scaled(1.0, "U/h", "U/hr", "u/h", "IU/h", "[iU]/h", "[IU]/h", "units/h", "units/hr", "units/hour")
_FLOW = (
    _scaled(1.0, "L/min", "l/min", "lpm", "LPM", "Lpm", "liters/min", "litres/min")
    | _scaled(1e-3, "mL/min", "ml/min")
)  # fmt: skip
_SCORE = _scaled(1.0, "{score}", "{Score}", "1", "score", "{points}", "points")


_PERFUSION = _scaled(1.0, "1", "%", "percent")

_BY_UNIT: dict[str, Spellings] = {
    "mm[Hg]": _PRESSURE,
    "Cel": _TEMPERATURE,
    "%": _PERCENT | _FRACTION,
    "mg/dL": _GLUCOSE,
    "U": _INSULIN,
    "U/h": _INSULIN_RATE,
    "L/min": _FLOW,
    "{score}": _SCORE,
}
_BY_SIGNAL: dict[str, Spellings] = {
    "heart_rate": _PER_MINUTE | _BEATS,
    "pulse_rate": _PER_MINUTE | _BEATS,
    "respiratory_rate": _PER_MINUTE | _BREATHS,
    "perfusion_index": _PERFUSION,
    "blood_ketone": _KETONE,
}

_SPELLINGS: tuple[Spellings, ...] = tuple(_BY_SIGNAL.get(signal.name) or _BY_UNIT[signal.unit] for signal in SIGNALS)


def factor(signal: Signal, unit: str) -> tuple[float, float] | None:
    """The ``(scale, offset)`` that converts a value in ``unit`` to the signal's own unit, ``None`` if refused.

    >>> from twins.signals import BY_NAME
    >>> factor(BY_NAME["glucose"], "mmol/L")
    (18.0156, 0.0)
    >>> factor(BY_NAME["blood_ketone"], "mg/dL") is None
    True
    """
    return _SPELLINGS[signal.code].get(unit)


def accepted(signal: Signal) -> tuple[str, ...]:
    """The units that are accepted for a signal, its own first."""
    return (signal.unit, *(unit for unit in _SPELLINGS[signal.code] if unit != signal.unit))


def examples(signal: Signal) -> tuple[str, ...]:
    """One spelling of every unit that is accepted for a signal, its own first; for error messages.

    >>> from twins.signals import BY_NAME
    >>> examples(BY_NAME["glucose"])
    ('mg/dL', 'mmol/L', 'g/L')
    """
    found: dict[tuple[float, float], str] = {}
    for unit in accepted(signal):
        found.setdefault(_SPELLINGS[signal.code][unit], unit)
    return tuple(found.values())
