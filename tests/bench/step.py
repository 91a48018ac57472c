"""``infra/bench step``: the complete step of the twins without doors or disk: frames in, outcomes out, on one core.

``ns_per_reading`` says how the time of a reading divides.
"""

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np

from api.cli.output import say
from streams.log.frame import as_record
from tests.support.load import SimulatedWard
from twins.alarms import agreement, trends
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration
from twins.records import Admit, Frame, SetRules, Tick
from twins.records.rules import Rule
from twins.step import emission, rules, walk
from twins.step.dispatch import step
from twins.step.effects import Effects

__all__ = ["run"]

_BATCH = 1_000
_SECOND_US = 1_000_000


def run(*, quick: bool = False) -> dict[str, Any]:
    """10,000 patients × 5 signals at 1 Hz in frames of 1,000, a tick a second: readings a second and bytes of state.

    Every model is on: filter, quality, late readings, calibration, forecasts, limits, predicted crossings and NEWS2, and
    every patient's estimates and forecasts go out once a second. ``bytes_per_patient`` is the size of the bank's arrays.
    ``alarm_engine`` is the share of what runs only for alarms, with five rules of a site.
    """
    patients, rounds = (500, 20) if quick else (10_000, 60)
    bank, ward = Bank(), SimulatedWard(patients)
    begin = 1_700_000_000 * _SECOND_US
    for number, patient in enumerate(ward.patients):
        step(bank, Admit(patient=patient, ward="A", received=begin), number)
    offset = patients
    frames = [_second(ward, begin + (number + 1) * _SECOND_US) for number in range(rounds)]
    warm_up = rounds // 3
    estimates = 0
    began = time.perf_counter()
    for number, second in enumerate(frames):
        if number == warm_up:
            say(f"{rounds - warm_up} s of {ward.channels:,} readings")
            gc.collect()
            gc.freeze()  # a full collection takes as long as many frames, wherever it happens to fall
            began = time.perf_counter()
        records: list[Frame | Tick] = [*second, Tick(second[-1].received)]
        for record in records:
            outcome = step(bank, record, offset)
            offset += 1
            if number >= warm_up and outcome.estimates is not None:
                estimates += len(outcome.estimates.signal) // 2
    seconds = time.perf_counter() - began
    readings = (rounds - warm_up) * ward.channels
    parts = _parts(bank, ward, offset, begin + (rounds + 1) * _SECOND_US, 3 if quick else 20)
    return {
        "patients": patients,
        "readings": readings,
        "readings_per_s": readings / seconds,
        "estimates": estimates,
        "bytes_per_patient": bank.bytes_held / patients,
        "ns_per_reading": parts,
        "alarm_engine": {
            "share_of_step": sum(parts[name] for name in _ALARMS) / parts["whole"],
            "share_of_a_core_at_1_hz": sum(parts[name] for name in _ALARMS) * ward.channels * 1e-9,
        },
    }


_PARTS = {
    "look": (walk, "usual"),
    "filter_and_limits": (walk, "frame"),
    "due": (walk, "due_rows"),
    "predictions": (walk, "predictions"),
    "agreement": (agreement, "compare"),
    "news2": (deterioration, "evaluate"),
    "estimates": (emission, "estimates_of"),
    "tick": (walk, "tick"),
    "trends": (trends, "judge"),
    "rules": (rules, "judge"),
    "rules_on_tick": (rules, "pass_time"),
    "transitions": (Effects, "raised"),
}
"""Functions that a step calls, and the names of their times."""


_ALARMS = ("predictions", "agreement", "news2", "tick", "trends", "rules", "rules_on_tick", "transitions")
"""Those of the alarm engine. Its limits are judged within ``filter_and_limits``, reading by reading, and are not apart."""
_RULES = (
    "oxygen_saturation < 80 and respiratory_rate > 40",
    "heart_rate > 180",
    "heart_rate < 30 or heart_rate > 190",
    "respiratory_rate > 45 and heart_rate > 150",
    "oxygen_saturation < 70",
)
"""Rules of a site, judged while the parts are timed; they are true for nobody, like most rules most of the time."""
_SETTLING = 5
"""Seconds that are not timed: around the end of the first minute every score goes out again."""


def _parts(bank: Bank, ward: SimulatedWard, offset: int, begin: int, rounds: int) -> dict[str, float]:
    """How the time of a reading divides, in ns: by part, the rest of it and the whole; timed apart, as timing costs some."""
    spent = dict.fromkeys(_PARTS, 0.0)
    some = [Rule(id=f"rule-{at}", when=when, for_s=60.0, text={"en": when}) for at, when in enumerate(_RULES)]
    step(bank, SetRules(rules=some, received=begin - _SECOND_US), offset)
    offset += 1

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> object:
            began = time.perf_counter()
            answer = function(*arguments)
            spent[name] += time.perf_counter() - began
            return answer

        return call

    frames = [_second(ward, begin + number * _SECOND_US) for number in range(_SETTLING + rounds)]
    for second in frames[:_SETTLING]:
        for record in (*second, Tick(second[-1].received)):
            step(bank, record, offset)  # type: ignore[arg-type] # each is a record
            offset += 1
    with ExitStack() as patches:
        for name, (module, attribute) in _PARTS.items():
            patches.enter_context(mock.patch.object(module, attribute, timed(name, getattr(module, attribute))))
        began = time.perf_counter()
        for second in frames[_SETTLING:]:
            records: list[Frame | Tick] = [*second, Tick(second[-1].received)]
            for record in records:
                step(bank, record, offset)
                offset += 1
        whole = time.perf_counter() - began
    readings = rounds * ward.channels
    result = spent | {"rest": whole - sum(spent.values()), "whole": whole}
    return {name: seconds / readings * 1e9 for name, seconds in result.items()}


def _second(ward: SimulatedWard, received: int) -> list[Frame]:
    """One reading of every channel, measured within the last second."""
    frames = []
    for columns in ward.batches(-(-ward.channels // _BATCH), _BATCH):
        moved = type(columns)(
            columns.patients, columns.patient, columns.signal,
            received - _SECOND_US + np.arange(len(columns), dtype="<i8"), columns.value,
        )  # fmt: skip
        frames.append(as_record(moved, received))
    return frames
