"""A feed: all clients that follow the same channel at the same pace share its frames.

State is conflated: a patient's changes are sent at most once a period, with the newest values; the first change after a
quiet period is sent at once. A frame is encoded once for all clients, and holds all patients that are due. The more
clients, the further apart are the frames of a feed, up to one a period, so the number of sends stays limited.
"""

import asyncio
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf

import msgspec

from api.live.burst import Burst, digest_of
from api.live.event_ring import Event, EventRing
from api.live.outbox import Outbox
from api.live.protocol import Delta, Refusal, Snapshot, Wire, encode
from api.live.state import LiveState
from streams.clock import Clock

__all__ = ["MOST_MISSED", "Channel", "Feed", "Subscription"]

MOST_MISSED = 1000
"""A client that comes back gets so many missed events one by one; if it missed more, a digest of them."""
_GATHER_S = 0.002
"""How long a change waits for others that arrive with it."""
_SPACING_S = 0.01
"""The minimum time between frames of a feed."""
_SENDS_PER_S = 2000
"""The frames of a feed are spaced so that they make at most so many sends a second, or one a period."""
_AT_ONCE = 200
"""Patients per frame: a large ward is encoded in slices, so that the loop can do other work in between."""


class Channel(msgspec.Struct, frozen=True):
    """The patients followed: one patient, some wards, or all patients (``wards`` is None)."""

    wards: frozenset[str] | None = None
    patient: str = ""

    def holds(self, ward: str, patient: str) -> bool:
        """Whether a patient of this ward is on the channel."""
        return patient == self.patient if self.patient else self.wards is None or ward in self.wards

    def rows(self, view: LiveState) -> list[int]:
        """The rows of the patients on the channel now."""
        if not self.patient:
            return view.rows(self.wards)
        row = view.row(self.patient)
        return [row] if row >= 0 else []


class Subscription(msgspec.Struct, frozen=True, eq=False):
    """One client's number for a feed; ``permits(ward, patient)`` says whether it may still see a patient there."""

    sub: int
    outbox: Outbox
    permits: Callable[[str, str], bool]

    def send(self, wire: Wire, *, whole: bool = False) -> None:
        """Put a message of the feed into the client's outbox."""
        self.outbox.put(wire.text(self.sub), wire.size, whole=whole)

    def refuse(self, detail: str) -> None:
        """Send the client the end of the subscription."""
        text = encode(Refusal(sub=self.sub, reason="forbidden", detail=detail)).decode()
        self.outbox.put(text, len(text))


class Feed:
    """A channel at a pace; ``period`` in wall-clock seconds."""

    def __init__(self, view: LiveState, ring: EventRing, clock: Clock, channel: Channel, period: float) -> None:
        self.channel = channel
        self.period = period
        self.subscriptions: set[Subscription] = set()
        self.frames = 0
        self._view = view
        self._ring = ring
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._revisions: dict[int, int] = dict.fromkeys(channel.rows(view), view.revision)
        self._sent: dict[int, float] = {}
        self._pending: set[int] = set()
        self._due: list[tuple[float, int]] = []
        self._framed = -inf
        self._timer: asyncio.Handle | None = None
        self._timer_at = inf
        self._snapshot: tuple[Wire, int] | None = None
        self._burst = Burst(self._send_to_all, self._tell_all)

    # -- subscriptions -------------------------------------------------------------------------------------------

    def join(self, subscription: Subscription, missed: list[Event] | None) -> None:
        """Send the missed events, then a snapshot; deltas follow."""
        self._burst.flush()
        wanted = [event for event in missed or () if self._for_channel(event)]
        if len(wanted) > MOST_MISSED:
            subscription.send(Wire(digest_of(wanted, self._ring.epoch)))
        else:
            subscription.outbox.make_room(sum(event.wire.size for event in wanted))
            for event in wanted:
                self._send_event(subscription, event)
        subscription.send(self._whole(recovered=missed is not None), whole=True)
        self.subscriptions.add(subscription)

    def _for_channel(self, event: Event) -> bool:
        """Whether an event is on the channel. A ward gets all of the ward; a patient's channel only the present stay's."""
        if not self.channel.holds(event.ward, event.patient):
            return False
        transition = event.transition if self.channel.patient else None
        return transition is None or self._view.of_this_stay(transition)

    def leave(self, subscription: Subscription) -> None:
        """End one subscription; the last one stops the timers."""
        self.subscriptions.discard(subscription)
        if not self.subscriptions:
            self._stop()
            self._burst.drop()

    def review(self, ward: str, patient: str) -> list[Subscription]:
        """End and return the subscriptions that may not see this patient in the present ward."""
        out = [one for one in self.subscriptions if not one.permits(ward, patient)]
        for one in out:
            one.refuse("the patient has moved to a ward that you may not read")
            self.leave(one)
        return out

    # -- changes -------------------------------------------------------------------------------------------------

    def changed(self, rows: Iterable[int]) -> None:
        """These rows of the channel have changed."""
        now = self._loop.time()
        sent, period, pending = self._sent, self.period, self._pending
        for row in rows:
            if row not in pending:
                pending.add(row)
                heappush(self._due, (max(now, sent.get(row, -inf) + period), row))
        self._arrange(now + _GATHER_S)

    def gone(self, row: int, patient: str) -> None:
        """A patient has left the channel."""
        self._revisions.pop(row, None)
        self._sent.pop(row, None)
        self._pending.discard(row)
        self._deliver(Delta(sub=0, offset=self._ring.top, server_time=self._now(), gone=[patient]))

    def alarmed(self, event: Event) -> None:
        """A transition or notice of a patient on the channel; it is sent at once."""
        self._snapshot = None
        self._burst.offer(event)

    def _send_to_all(self, event: Event) -> None:
        for subscription in self.subscriptions:
            self._send_event(subscription, event)

    def _tell_all(self, events: list[Event]) -> None:
        wire = Wire(digest_of(events, self._ring.epoch))
        for subscription in self.subscriptions:
            if not self.channel.patient or subscription.permits(events[-1].ward, events[-1].patient):
                subscription.send(wire)

    def _send_event(self, subscription: Subscription, event: Event) -> None:
        """Send a transition if the client may see it: on a patient's channel one from another ward may arrive late."""
        if not self.channel.patient or subscription.permits(event.ward, event.patient):
            subscription.send(event.wire)

    def send_snapshots(self) -> None:
        """Everything may have changed: send a new snapshot to all clients."""
        self._stop()
        self._burst.drop()
        self._revisions = dict.fromkeys(self.channel.rows(self._view), self._view.revision)
        self._sent.clear()
        self._snapshot = None
        wire = self._whole(recovered=False)
        for subscription in self.subscriptions:
            subscription.send(wire, whole=True)

    # -- frames --------------------------------------------------------------------------------------------------

    def _arrange(self, earliest: float) -> None:
        """Set the timer for the next frame, unless it is set at least as early."""
        if not self._due:
            return
        spacing = min(self.period, max(_SPACING_S, len(self.subscriptions) / _SENDS_PER_S))
        at = max(earliest, self._due[0][0], self._framed + spacing)
        if at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._frame)

    def _frame(self) -> None:
        """Send the patients that are due, a slice at a time."""
        self._timer, self._timer_at = None, inf
        now = self._loop.time()
        chosen: list[int] = []
        while self._due and self._due[0][0] <= now + _GATHER_S and len(chosen) < _AT_ONCE:
            row = heappop(self._due)[1]
            if row in self._pending:
                self._pending.discard(row)
                chosen.append(row)
        if chosen:
            self._send(chosen, now)
        if len(chosen) == _AT_ONCE:
            self._timer_at, self._timer = now, self._loop.call_soon(self._frame)
        else:
            self._framed = now
            self._arrange(now)

    def _send(self, rows: list[int], now: float) -> None:
        revisions, revision = self._revisions, self._view.revision
        entries = self._view.parts(rows, revisions, full=bool(self.channel.patient))
        self._deliver(Delta(sub=0, offset=self._ring.top, server_time=self._now(), set=entries))
        for row in rows:
            if row in revisions:  # a new patient is sent complete, and the first estimate need not wait
                self._sent[row] = now
            revisions[row] = revision

    def _deliver(self, delta: Delta) -> None:
        self._snapshot = None
        self.frames += 1
        wire = Wire(delta)
        for subscription in self.subscriptions:
            subscription.send(wire)

    def _whole(self, *, recovered: bool) -> Wire:
        """The snapshot, shared by all clients that join before anything else is sent."""
        if self._snapshot is None or self._snapshot[1] != recovered:
            rows = self.channel.rows(self._view)
            entries = self._view.wholes(rows, full=bool(self.channel.patient))
            ring = self._ring
            message = Snapshot(
                sub=0, epoch=ring.epoch, offset=ring.top, server_time=self._now(), recovered=recovered, entries=entries
            )
            self._snapshot = (Wire(message), recovered)
        return self._snapshot[0]

    def _now(self) -> int:
        return self._clock.now() // 1000

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, inf
        self._pending.clear()
        self._due.clear()
