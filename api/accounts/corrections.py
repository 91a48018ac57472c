"""Corrections in the audit trail: the readings that devices corrected, and the corrections that were refused.

The doors cannot know this: whether a reading corrects another is decided in the log. A device that corrects continuously
has one entry a minute for each signal of a patient, with a count.
"""

from typing import NamedTuple

from api.accounts import Accounts, Actor
from api.http.answers import iso
from twins.records import Outcome, Revision

__all__ = ["Corrections"]

_WITHIN_US = 60_000_000
_MOST = 10_000


class _Key(NamedTuple):
    by: str
    patient: str
    signal: str
    what: str


class Corrections:
    """Receives outcomes and records the corrections of readings in them."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._lately: dict[_Key, tuple[int, int]] = {}

    def heard(self, outcome: Outcome) -> None:
        """Record the corrections of an outcome. Withdrawals are already in the trail, by their request."""
        for one in outcome.revisions:
            if one.what != "retracted":
                self._record(one)

    def _record(self, one: Revision) -> None:
        key = _Key(one.by, one.patient, one.signal, one.what)
        since, count = self._lately.get(key, (-_WITHIN_US, 0))
        if one.received < since + _WITHIN_US:
            self._lately[key] = (since, count + 1)
            return
        if len(self._lately) >= _MOST:
            self._lately.clear()
        self._lately[key] = (one.received, 0)
        detail = f"{one.signal} at {iso(one.time)}" + (f", and {count} before it" if count else "")
        outcome = "ok" if one.what == "corrected" else "not taken"
        actor = Actor(kind="device", name=one.by[:64])
        self._accounts.audit(actor, "observation.correct", one.patient, detail=detail, outcome=outcome)
