"""The devices behind a patient's readings, by name: alarms say which device sent what they are about."""

from typing import TYPE_CHECKING

import numpy as np

from twins.bank import layout

if TYPE_CHECKING:
    from twins.bank.bank import Bank

__all__ = ["device_of", "devices_between"]


def device_of(bank: "Bank", row: int) -> str:
    """The name of the device that sent a channel's newest reading; "" if it is not known."""
    number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
    others = bank.others.get((number, code))
    sender = others.times.get(int(bank.state[row, layout.LAST])) if others is not None else None
    return bank.devices.get(int(bank.writer[number, code]) if sender is None else sender, "")


def devices_between(bank: "Bank", first: int, last: int) -> list[tuple[int, str]]:
    """The named devices of some patients, by number; for a checkpoint."""
    used = set(np.unique(bank.writer[first:last]).tolist())
    for (number, _), others in bank.others.items():
        if first <= number < last:
            used.update(others.times.values())
    return [(sender, bank.devices[sender]) for sender in sorted(used & bank.devices.keys())]
