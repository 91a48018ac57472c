"""Clients of ``/v1/events``: those of one channel share the text of each event, and the digest of a flood."""

from api.http.answers import milliseconds
from api.live.alarm import alarm_of
from api.live.burst import Burst, digest_of
from api.live.event_ring import Event, EventRing
from api.live.feed import MOST_MISSED, Channel
from api.live.notice import notice_of
from api.live.outbox import Outbox
from api.live.protocol import encode
from api.live.state import LiveState
from streams.clock import Clock

__all__ = ["Followers"]


class Followers:
    """The outboxes that follow one channel as server-sent events."""

    def __init__(self, view: LiveState, ring: EventRing, clock: Clock, channel: Channel) -> None:
        self.channel = channel
        self._view = view
        self._ring = ring
        self._clock = clock
        self._outboxes: set[Outbox] = set()
        self._burst = Burst(self._send, self._tell)

    def __len__(self) -> int:
        return len(self._outboxes)

    def join(self, outbox: Outbox, missed: list[Event] | None) -> None:
        """Send the missed events, or the active alarms if they are not known; later events follow."""
        self._burst.flush()
        if missed is None:
            self._send_active(outbox)
        wanted = [event for event in missed or () if self.channel.holds(event.ward, event.patient)]
        if len(wanted) > MOST_MISSED:
            text = self._digest(wanted)
            outbox.put(text, len(text))
        else:
            texts = [event.sse(self._ring.epoch) for event in wanted]
            outbox.make_room(sum(map(len, texts)))
            for text in texts:
                outbox.put(text, len(text))
        self._outboxes.add(outbox)

    def leave(self, outbox: Outbox) -> None:
        """A client has gone."""
        self._outboxes.discard(outbox)
        if not self._outboxes:
            self._burst.drop()

    def happened(self, event: Event) -> None:
        """An event of the service; it is sent if it is on the channel."""
        if self.channel.holds(event.ward, event.patient):
            self._burst.offer(event)

    def begin_again(self) -> None:
        """Everything may have changed: send the active alarms to all."""
        self._burst.drop()
        for outbox in self._outboxes:
            self._send_active(outbox)

    def _send(self, event: Event) -> None:
        self._put(event.sse(self._ring.epoch))

    def _tell(self, events: list[Event]) -> None:
        self._put(self._digest(events))

    def _put(self, text: str) -> None:
        for outbox in self._outboxes:
            outbox.put(text, len(text))

    def _digest(self, events: list[Event]) -> str:
        digest = digest_of(events, self._ring.epoch)
        return f"id: {self._ring.epoch}:{digest.offset}\nevent: digest\ndata: {encode(digest).decode()}\n\n"

    def _send_active(self, outbox: Outbox) -> None:
        epoch, top = self._ring.epoch, self._ring.top
        channel = self.channel
        content = {
            "epoch": epoch,
            "offset": top,
            "server_time": self._clock.now() // 1000,
            "alarms": [alarm_of(one, milliseconds) for one in self._view.active_alarms(channel.wards, channel.patient)],
            "notices": [
                notice_of(one, milliseconds)
                for one in self._view.pending_notices()
                if channel.holds(one.ward, one.patient)
            ],
        }
        text = f"id: {epoch}:{top}\nevent: snapshot\ndata: {encode(content).decode()}\n\n"
        outbox.put(text, len(text), whole=True)
