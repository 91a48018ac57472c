"""The one function that moves the twins: ``step(bank, record, offset) -> Outcome``.

It reads no clock and does no I/O, so the same records always give the same state, estimates and alarms, bit for bit.
Log time is the record's ``received``; within a partition it goes back only at a tick that says so.
"""

from twins.bank.bank import Bank
from twins.bank.set_back import set_back
from twins.records import (
    Fact,
    Frame,
    Outcome,
    Record,
    Retract,
    Tick,
)  # fmt: skip
from twins.step.commands import chart, execute, retract
from twins.step.effects import Effects
from twins.step.estimates import complete
from twins.step.frame import walk_frame
from twins.step.judged_chances import judged_chances
from twins.step.tick import pass_time

__all__ = ["step"]


def step(bank: Bank, record: Record, offset: int) -> Outcome:
    """Move ``bank`` by one record of its partition; ``offset`` is the record's place in the log."""
    if bank.catching_up:
        bank.begin_catch_up(offset)
    if isinstance(record, Tick) and record.back > 0:
        set_back(bank, record.received, record.back, offset)
        return complete(bank, offset)
    now = bank.time = max(bank.time, record.received)
    effects = Effects(bank, now, offset)
    if isinstance(record, Frame):
        walk_frame(effects, record)
    elif isinstance(record, Tick):
        pass_time(effects, record)
    elif isinstance(record, Fact):
        chart(effects, record)
    elif isinstance(record, Retract):
        retract(effects, record)
    else:
        execute(effects, record)
    if effects.judged:
        effects.outcome.chances = judged_chances(bank, effects.judged)
    return effects.outcome
