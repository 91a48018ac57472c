"""The burden of alarms of a period, from the history."""

from collections.abc import Callable, Collection

from streams.history.base import History
from twins.alarms.burden import Burden, Tally, patient_days

__all__ = ["MOST_CHANGES", "TooMany", "burden_of"]

MOST_CHANGES = 500_000
"""More transitions than that are not summed up at once: it would take minutes."""
_PAGE = 5_000


class TooMany(ValueError):
    """The period has more transitions than may be summed up at once."""


async def burden_of(
    history: History,
    start_us: int,
    end_us: int,
    wards: Collection[str] | None = None,
    hour: Callable[[int], int] = lambda time: time // 3_600_000_000 % 24,
) -> Burden:
    """The burden of [start, end) in some wards, or in all (``None``); ``hour`` is as in ``twins.alarms.burden.Tally``.

    An alarm counts for the ward in which the patient was at that time.

    Raises:
        TooMany: the period has more than ``MOST_CHANGES`` transitions.
    """
    stays = await history.stays_within(start_us, end_us)
    days = patient_days((stay for stay in stays if wards is None or stay.ward in wards), start_us, end_us)
    tally = Tally(start_us, end_us, hour)
    cursor: str | None = None
    read = 0
    while True:
        page = await history.alarms(None, start_us, end_us, cursor=cursor, limit=_PAGE, ascending=True)
        for transition in page.items:
            if wards is None or transition.ward in wards:
                tally.add(transition)
        read += len(page.items)
        if page.cursor is None:
            return tally.sum_up(days)
        if read >= MOST_CHANGES:
            raise TooMany(f"more than {MOST_CHANGES:,} changes of alarms in this period; choose a shorter one")
        cursor = page.cursor
