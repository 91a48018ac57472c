"""A channel judged again after readings of it were corrected or retracted."""

from twins.alarms import channel_conditions
from twins.bank import layout
from twins.models.channel import statements
from twins.models.deterioration import model as deterioration
from twins.step import retraction
from twins.step.effects import Effects

__all__ = ["judge_anew"]


def judge_anew(effects: Effects, row: int, reason: str) -> None:
    """Judge a channel again as if its corrected or retracted readings had never existed.

    Pending statements of a chance are dropped: they were made, or would be judged, from readings that are wrong. What has
    been judged before stays as it was: it has been reported, and the patient's own offset has learnt from it.
    """
    bank = effects.bank
    number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
    effects.wrong[number, code] = reason
    bank.watch[row, layout.PREDICTED] = 0.0
    bank.watch[row, layout.DIRTY] = 1.0
    statements.drop(bank.awaiting[row], bank.stated[row])
    bank.warned[row, :, layout.WARNED_CHANCE] = 0.0
    effects.urgent.add(number)
    if retraction.empty(bank, row):
        column = deterioration.column_of(code)
        if column >= 0:
            bank.known_parts[number, column] = -1
    else:
        effects.counts[0] = channel_conditions.anew(
            row, float(effects.now), layout.PARAMETERS[code], bank.state[row], bank.watch[row], bank.ring[row],
            bank.limit[row], bank.judged, bank.mark[row], bank.phase[row], bank.since[row], effects.events, 0,
        )  # fmt: skip
        effects.raised()
    for key, names in retraction.unsupported(bank, row):
        effects.withdraw(key, reason, names)
