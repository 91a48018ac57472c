"""A reading taken back: out of its channel's filter, and out of what the alarm rules remember of the channel."""

from twins.bank import Bank
from twins.kernels import late, layout
from twins.records import Retract, Status
from twins.signals import BY_NAME

__all__ = ["retract"]

_LOW_SIDE = (layout.CRITICAL_LOW, layout.LOW)
_CRITICAL = (layout.CRITICAL_LOW, layout.CRITICAL_HIGH)


def retract(bank: Bank, number: int, command: Retract) -> Status:
    """Take a reading of patient ``number`` back, as far as the channel's kept readings reach.

    RETRACTED; LATE where it is older than those; DUPLICATE where there is none at that time (any more); UNFILTERED where
    no twin follows the signal. Only the first changes anything.
    """
    signal = BY_NAME.get(command.signal)
    row = int(bank.slot[number, signal.code]) if signal else -1
    if signal is None or row < 0:
        return Status.UNFILTERED
    t, parameter = float(command.time), layout.PARAMETERS[signal.code]
    verdict = late.retract(bank.state[row], parameter, bank.watch[row], bank.ring[row], bank.kept[row], t)
    if verdict == late.RETRACTED:
        _forget(bank, row, t)
    return Status(verdict)


def _forget(bank: Bank, row: int, t: float) -> None:
    """Let nothing that is still to come rest on the reading; an alarm that is on stays so until the next reading."""
    state, watch, phase = bank.state[row], bank.watch[row], bank.phase[row]
    empty = watch[layout.HEAD] == 0.0
    if empty or bank.shown[row, 0] == t:
        bank.shown[row] = 0.0
    if empty:
        watch[:] = 0.0
        bank.due[row] = 0.0
    elif watch[layout.FLAT_SINCE] == t:
        # A line began with it: since when it has been flat without it is not known.
        watch[layout.FLAT_SINCE] = state[layout.LAST]
    watch[layout.DIRTY] = 1.0
    for condition in range(layout.CONDITIONS):
        if phase[condition] == layout.PENDING and (empty or not _holds(bank, row, condition)):
            phase[condition] = layout.IDLE


def _holds(bank: Bank, row: int, condition: int) -> bool:
    """Whether a limit is still passed; what is no limit is judged elsewhere."""
    if condition > layout.CRITICAL_HIGH:
        return True
    x = bank.state[row, layout.VALUE if condition in _CRITICAL else layout.M0]
    bound = bank.limit[row, condition]
    return bool(x < bound if condition in _LOW_SIDE else x > bound)
