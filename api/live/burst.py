"""Floods of events: a client gets so many a second one by one, and the others together in a digest that counts them.

Nothing is left out without being said. The digest names the numbers of its events, and ``GET /v1/events/missed`` returns
them. The state of alarms does not come from events: every patient's active alarms are in the deltas anyway.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from api.http.answers import milliseconds
from api.live.event_ring import Event
from api.live.protocol import Digest, DigestGroup
from twins.alarms.conditions import RANK
from twins.records import Notice, Transition

__all__ = ["MOST_A_SECOND", "Burst", "digest_of"]

MOST_A_SECOND = 100
"""More than a person or a small program can take in; a busy ward of sixty beds has some alarms a minute."""
_MOST_GROUPS = 20
_WINDOW_S = 1.0


def digest_of(events: Sequence[Event], epoch: str) -> Digest:
    """What happened in these events, which are consecutive for their client: counts by ward, condition and event."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    patients: dict[tuple[str, str, str, str], set[str]] = {}
    for event in events:
        what = event.what
        cause = what.event or what.presence if isinstance(what, Transition) else f"notice_{what.state}"
        group = (what.ward, what.condition, cause, what.priority)
        counts[group] += 1
        patients.setdefault(group, set()).add(what.patient)
    order = sorted(counts, key=lambda group: (-RANK.get(group[3], 0), -counts[group], group))
    groups = [
        DigestGroup(
            ward=ward, condition=condition, event=cause, priority=priority,
            count=counts[ward, condition, cause, priority], patients=len(patients[ward, condition, cause, priority]),
        )
        for ward, condition, cause, priority in order[:_MOST_GROUPS]
    ]  # fmt: skip
    last = events[-1].what
    return Digest(
        sub=0, epoch=epoch, first=events[0].offset, offset=events[-1].offset, count=len(events),
        patients=len(set().union(*patients.values())), groups=groups, left_out=len(counts) - len(groups),
        time=milliseconds(last.emitted or last.time if isinstance(last, Transition) else last.changed),
    )  # fmt: skip


class Burst:
    """The events of one channel for its clients: ``send`` gets single events, ``tell`` those that become a digest."""

    def __init__(self, send: Callable[[Event], None], tell: Callable[[list[Event]], None]) -> None:
        self._send = send
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began = -_WINDOW_S
        self._count = 0
        self._held: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, event: Event) -> None:
        """Send an event at once or with the digest of this second; one that may call somebody is never held back."""
        now = self._loop.time()
        if not self._held and now - self._began >= _WINDOW_S:
            self._began, self._count = now, 0
        self._count += 1
        if not self._held and self._count <= MOST_A_SECOND:
            self._send(event)
        elif _urgent(event.what):
            self.flush()  # a client that resumes after this event must know of those before it
            self._send(event)
        else:
            self._held.append(event)
            if self._timer is None:
                self._timer = self._loop.call_at(self._began + _WINDOW_S, self._over)

    def flush(self) -> None:
        """Tell what is held back: a client is about to join, or an urgent event comes after it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, []
        if held:
            self._tell(held)

    def drop(self) -> None:
        """Nobody listens any more, or everybody gets a snapshot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held = []

    def _over(self) -> None:
        self._timer = None
        self._began, self._count = self._loop.time(), 0
        self.flush()


def _urgent(what: Transition | Notice) -> bool:
    """Whether it says that a patient needs somebody now."""
    return isinstance(what, Transition) and what.priority == "high" and what.presence == "on" and not what.under
