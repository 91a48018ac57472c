"""Compile every kernel for the types it is called with, by moving a bank with one patient through a few records."""

from collections.abc import Iterator

import numpy as np

from twins.bank.bank import Bank
from twins.bank.layout import BELIEF, PARAMETERS
from twins.compiled.parsing import cut_array, cut_lines
from twins.compiled.sorting import judge, scatter
from twins.models.channel.course import smooth
from twins.models.channel.fan import fan
from twins.models.channel.model import CHANNEL
from twins.records import Admit, Frame, Retract, Tick
from twins.step.dispatch import step
from twins.step.estimate_columns import rejected
from twins.step.estimates import complete

__all__ = ["warm"]


def warm() -> Iterator[str]:
    """Yield a name after each stage; afterwards the on-disk cache holds everything the service runs."""
    bank = Bank()
    step(bank, Admit(patient="warm", received=1), 0)
    step(
        bank,
        Frame(
            received=1_000_000,
            sources=["warm"],
            patients=["warm"],
            patient=np.zeros(3, "<u4").tobytes(),
            signal=np.array([0, 0, 3], "<u2").tobytes(),
            time=np.array([1, 2, 1], "<i8").tobytes(),
            value=np.array([80.0, 81.0, 97.0]).tobytes(),
        ),
        1,
    )
    yield "frame"
    patient, signal, time, value = np.zeros(1, "<u4"), np.zeros(1, "<u2"), np.zeros(1, "<i8"), np.zeros(1)
    verdict, places = np.zeros(1, np.uint8), np.zeros(1, np.int64)
    scatter(
        patient, signal, time, value, places, patient, places.copy(), patient.copy(), signal.copy(), time.copy(), value.copy(),
        places.copy(),
    )  # fmt: skip
    judge(patient, signal, time, value, 1, 1, 0, 1, verdict)
    for column in (patient, signal, time, value):
        column.flags.writeable = False  # as they come from the wire: a read-only array is another type to numba
    judge(patient, signal, time, value, 1, 1, 0, 1, verdict)
    text, starts, ends, deep = (
        np.frombuffer(b"[1]", np.uint8),
        np.empty(2, np.int64),
        np.empty(2, np.int64),
        np.zeros(2, np.uint8),
    )
    cut_array(text, 2, starts, ends, deep)
    cut_lines(text, starts, ends)
    yield "columns"
    step(bank, Tick(30_000_000), 2)
    yield "tick"
    step(bank, Retract(patient="warm", signal="heart_rate", time=1, received=30_000_000), 2)
    yield "retraction"
    fan(np.zeros((1, BELIEF), np.float32), np.zeros(1, np.uint16))
    complete(bank, 2)
    rejected(np.zeros(1, np.int64), bank.state, bank.signal_of_row, PARAMETERS, np.zeros(1), np.zeros(1, np.int64))
    yield "forecast"
    state = np.zeros(1, CHANNEL.dtype)
    rows, signal = np.zeros(1, np.int64), np.zeros(1, np.uint16)
    CHANNEL.update(state, rows, signal, np.ones(1, np.int64), np.full(1, 80.0))
    CHANNEL.advance(state, rows, signal, 2_000_000)
    CHANNEL.forecast(state, rows, signal, np.array([60.0]))
    yield "channel model"
    smooth(0, np.array([1, 2], np.int64), np.full(2, 80.0), np.ones(1, np.int64))
    yield "smoother"
