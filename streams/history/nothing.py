"""A history that stores nothing, for a service without a history store: every question gets ``HistoryNotKept``."""

from typing import Any, NoReturn

from streams.errors import HistoryNotKept

__all__ = ["NoHistory"]


class NoHistory:
    """Forgets what it is given and raises ``HistoryNotKept`` when asked."""

    def _forget(self, *_: Any) -> None:  # noqa: ANN401 - any argument
        """Keep nothing."""

    add_observations = add_estimates = add_forecasts = add_transitions = _forget
    add_facts = add_stays = add_revisions = add_chances = complete = close = _forget

    def counters(self) -> dict[str, int | float]:
        """There is nothing to count."""
        return {}

    async def settled(self) -> None:
        """Return at once: nothing can be lost."""

    async def _refuse(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401 - any argument
        """Raise ``HistoryNotKept``."""
        raise HistoryNotKept("no history is kept: name an InfluxDB in VITALTWIN_INFLUX_URL")

    observations = all_observations = observations_page = versions = estimates = forecasts = _refuse
    alarms = alarm = latest = facts = stays = stays_within = revisions = track_record = _refuse
