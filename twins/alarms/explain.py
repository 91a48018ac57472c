"""Why an alarm exists: the limit in force, the observations behind it, the twin's state, the forecast it is based on."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from twins.alarms import agreement
from twins.alarms.conditions import CHANNEL_CONDITIONS
from twins.alarms.limit_settings import RATES
from twins.alarms.limits_in_force import Layer, in_force
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.devices import device_of
from twins.models.channel import forecast
from twins.models.channel.chances import WITHIN
from twins.models.channel.fan import fan
from twins.models.channel.model import CHANNEL
from twins.models.channel.recalibration import KINDS
from twins.models.deterioration import history
from twins.records import Score
from twins.signals import SIGNALS

__all__ = ["FAULTS", "of_clock", "of_event", "of_score"]

FAULTS: dict[int, str] = {layout.UNRELIABLE: "implausible", layout.MISFIT: "misfit", layout.FLAT: "flat"}
"""Why a sensor is considered faulty, by the reason code of the kernels."""


BOUND_OF = {
    layout.CRITICAL_LOW: "critical_low", layout.LOW: "low", layout.HIGH: "high", layout.CRITICAL_HIGH: "critical_high",
    layout.PREDICTED_LOW: "low", layout.PREDICTED_HIGH: "high",
}  # fmt: skip
"""By condition of a channel, the limit that it watches."""


def of_event(bank: Bank, event: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The explanation of a channel condition, from the event that the kernel wrote when the condition began."""
    row = int(event[layout.E_ROW])
    number = int(event[layout.E_CONDITION])
    condition = CHANNEL_CONDITIONS[number]
    code = int(bank.signal_of_row[row])
    signal = SIGNALS[code]
    ring = event[layout.E_RING :].reshape(layout.SHOWN, 2)
    explanation: dict[str, Any] = {
        "observations": [[int(t) // 1000, _round(v)] for t, v in ring.tolist() if t > 0],
        "state": {
            "mean": _round(event[layout.E_MEAN]),
            "sd": _round(event[layout.E_SD]),
            "trend_per_min": _round(event[layout.E_TREND] * 60.0),
            "quality": _round(event[layout.E_QUALITY]),
        },
        "model": {"name": CHANNEL.name, "version": CHANNEL.version},
        "device": device_of(bank, row),
    }
    if condition.side:
        force, origins = in_force(bank.limit_layers(int(bank.patient_of_row[row]), code))
        critical = number in (layout.CRITICAL_LOW, layout.CRITICAL_HIGH)
        explanation["limit"] = {
            "bound": _round(event[layout.E_LIMIT]),
            "side": condition.side,
            "hysteresis": signal.hysteresis,
            "delay_s": min(force["delay_s"], signal.critical_delay_s) if critical else force["delay_s"],
            "clear_s": 0.0 if critical else force["clear_s"],
            **_origin(origins[BOUND_OF[number]]),
        }
    if number in (layout.PREDICTED_LOW, layout.PREDICTED_HIGH):
        belief = np.empty((1, layout.BELIEF), np.float32)
        forecast.write_belief(
            bank.state[row],
            layout.PARAMETERS[code],
            bank.stretch[row],
            bank.recent[row],
            belief[0],
            belief[0, layout.B_RECENT :],
        )
        within = int(event[layout.E_KIND]) == WITHIN
        side = number - layout.PREDICTED_LOW
        expected_min = event[layout.E_EXPECTED] / 60.0
        explanation["forecast"] = {
            "probability": _round(event[layout.E_EXTRA]),
            "kind": KINDS[int(event[layout.E_KIND])],
            "horizon_min": _round(layout.PREDICT_WITHIN_S / 60.0 if within else expected_min),
            "expected_min": _round(expected_min) if within else None,
            "wanted": _round(bank.warned[row, side, layout.WARNED_WANTED]),
            "before": {
                "predictions": int(bank.warned[row, side, layout.WARNED_COUNT]),
                "came_true": int(bank.warned[row, side, layout.WARNED_TRUE]),
            },
            "quantiles": [
                [_round(q) for q in quantiles] for quantiles in fan(belief, np.array([code], np.uint16))[0].tolist()
            ],
        }
    if number == layout.FAULT:
        reason = int(event[layout.E_EXTRA])
        explanation["fault"] = {"reason": FAULTS[reason]}
        if reason == layout.UNRELIABLE:
            explanation["fault"]["value"] = _round(event[layout.E_VALUE])
        if reason == layout.FLAT:
            explanation["fault"]["flat_s"] = _round(event[layout.E_EXPECTED])
    if number == layout.DISAGREEMENT:
        explanation["disagreement"] = _disagreement(bank, event)
    if number in (layout.RATE_FALLING, layout.RATE_RISING):
        name = RATES[number - layout.RATE_FALLING]
        force, origins = in_force(bank.limit_layers(int(bank.patient_of_row[row]), code))
        explanation["rate"] = {
            "per_min": _round(60.0 * event[layout.E_EXTRA]),
            "limit_per_min": round(60.0 * float(event[layout.E_EXPECTED]), 2),
            "side": "falling" if number == layout.RATE_FALLING else "rising",
            "window_s": signal.trend_s,
            **(_origin(origins[name]) if name in force else {}),
        }
    if number == layout.LOW_QUALITY:
        explanation["quality"] = {
            "quality": _round(event[layout.E_EXTRA]),
            "below": round(float(event[layout.E_EXPECTED]), 2),
        }
    if number == layout.SILENT:
        explanation["silent_s"] = _round(event[layout.E_EXTRA])
    return explanation


def _origin(layer: Layer) -> dict[str, Any]:
    """Where a limit comes from: level, part of the day, age band with its source, who set it and when (ms)."""
    found: dict[str, Any] = {"origin": layer.level}
    if layer.period:
        found["period"] = layer.period
    if layer.source:
        found |= {"band": layer.band, "source": layer.source}
    if layer.time:
        found |= {"set_by": layer.by, "set_at": layer.time // 1000}
    return found


def _disagreement(bank: Bank, event: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The two sources that disagree: both estimates, their usual difference, and how far from it is still agreement."""
    number = int(bank.patient_of_row[int(event[layout.E_ROW])])
    pair = agreement.PLACE[SIGNALS[int(bank.signal_of_row[int(event[layout.E_ROW])])].name]
    own = bank.agreement[number, pair]
    codes = agreement.CODES[pair].tolist()
    return {
        "sources": [
            {
                "signal": SIGNALS[code].name,
                "mean": _round(bank.state[row, layout.M0]),
                "sd": _round(math.sqrt(max(bank.state[row, layout.P00], 0.0))),
                "value": _round(bank.state[row, layout.VALUE]),
            }
            for code, row in zip(codes, bank.slot[number, codes].tolist(), strict=True)
        ],
        "difference": _round(event[layout.E_EXTRA]),
        "bias": _round(own[layout.G_BIAS]),
        "spread": _round(math.sqrt(own[layout.G_SPREAD])),
        "allowed": _round(event[layout.E_EXPECTED]),
        "delay_s": agreement.HOLD_US * 1e-6,
    }


def of_clock(apart: int) -> dict[str, Any]:
    """The explanation of a sender's wrong clock: its error (``apart`` µs; positive means ahead)."""
    return {"clock": {"side": "ahead" if apart > 0 else "behind", "apart_s": round(abs(apart) * 1e-6, 1)}}


def of_score(score: Score) -> dict[str, Any]:
    """The explanation of a NEWS2 threshold: every part, what is missing or stale, and the age of each input."""
    return {
        "news2": {
            "score": score.total,
            "rise": score.rise,
            "rise_within_s": history.WITHIN_S,
            "risk": score.risk,
            "partial": score.partial,
            "parts": score.parts,
            "missing": score.missing,
            "stale": score.stale,
            "ages": {name: _round(age) for name, age in score.ages_s.items()},
        },
        "model": {"name": "news2", "version": 1},
    }


def _round(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
