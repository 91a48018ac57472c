"""The hub: applies every outcome to the live state and sends the changes to all clients that follow it.

There are two delivery classes. State is conflated in the feeds, one per (channel, pace). Alarm transitions and notices
are events: numbered, never conflated, sent at once, and stored in a ring for clients that reconnect. All of it runs on the
event loop and nothing waits for a client: each has its own bounded outbox.
"""

import asyncio
from collections.abc import Callable

from api.live.event_ring import EventRing
from api.live.feed import Channel, Feed, Subscription
from api.live.followers import Followers
from api.live.outbox import Outbox
from api.live.protocol import Health, Ping, Since, encode
from api.live.service_health import grave
from api.live.state import Changes, LiveState
from streams.clock import Clock
from twins.records import Notice, Outcome, Transition

__all__ = ["Hub"]

_PACES_HZ = (10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
"""Few paces, so that many clients share few feeds. A client gets the next slower pace."""


class Hub:
    """Delivers changes and events, and a heartbeat every ``ping`` seconds."""

    def __init__(self, view: LiveState, clock: Clock, ping: float = 2.0, queue_bytes: int = 1 << 20) -> None:
        self.view = view
        self.clock = clock
        self.ping = ping
        self.queue_bytes = queue_bytes
        self.ring = EventRing()
        self._feeds: dict[tuple[Channel, float], Feed] = {}
        self._patient_feeds: dict[str, set[Feed]] = {}
        self._clients: dict[Outbox, dict[int, tuple[Feed, Subscription]]] = {}
        self._followers: dict[Channel, Followers] = {}
        self._heartbeat: asyncio.TimerHandle | None = None
        self.health: Callable[[], Health] = Health
        """Returns the service's health; set by the application."""
        self._grave = grave(Health())
        self._stopped = False
        self._frames = self._slow = self._alarms = 0

    # -- outcomes ------------------------------------------------------------------------------------------------

    def publish(self, outcome: Outcome) -> None:
        """Apply an outcome to the live state and send it to the clients concerned."""
        changes = self.view.apply(outcome)
        happened: list[Transition | Notice] = [*changes.events, *changes.notices]
        for what in happened:
            self._alarms += isinstance(what, Transition)
            event = self.ring.append(what)
            for feed in self._feeds.values():
                if feed.channel.holds(what.ward, what.patient):
                    feed.alarmed(event)
            for followers in self._followers.values():
                followers.happened(event)
        if changes.complete:
            self._send_snapshots()
        elif self._feeds:
            self._route(changes)

    def _route(self, changes: Changes) -> None:
        for moved in changes.moved:
            for feed in list(self._feeds.values()):
                channel = feed.channel
                if channel.patient == moved.patient and moved.to is not None:
                    self._end(feed, feed.review(moved.to, moved.patient))
                elif channel.holds(moved.ward, moved.patient) and (
                    moved.to is None or not channel.holds(moved.to, moved.patient)
                ):
                    feed.gone(moved.row, moved.patient)
        for patient, feeds in list(self._patient_feeds.items()):
            row = self.view.row(patient)
            if row in changes.rows:
                for feed in list(feeds):
                    self._end(feed, feed.review(self.view.ward_of(row), patient))
                    feed.changed((row,))
        if len(self._feeds) > sum(map(len, self._patient_feeds.values())):
            by_ward = self.view.by_ward(changes.rows)
            for feed in self._feeds.values():
                self._notify(feed, changes.rows, by_ward)

    @staticmethod
    def _notify(feed: Feed, rows: set[int], by_ward: dict[str, list[int]]) -> None:
        if feed.channel.patient:
            return
        if feed.channel.wards is None:
            feed.changed(rows)
            return
        for ward in feed.channel.wards:
            if ward in by_ward:
                feed.changed(by_ward[ward])

    def _send_snapshots(self) -> None:
        self.ring.renew()
        for feed in list(self._feeds.values()):
            row = self.view.row(feed.channel.patient)
            if row >= 0:
                self._end(feed, feed.review(self.view.ward_of(row), feed.channel.patient))
            feed.send_snapshots()
        for followers in self._followers.values():
            followers.begin_again()

    # -- clients -------------------------------------------------------------------------------------------------

    def outbox(self) -> Outbox:
        """The outbox of a new connection."""
        outbox = Outbox(self.queue_bytes)
        self._take_in(outbox)
        return outbox

    def release(self, outbox: Outbox) -> None:
        """A connection has ended."""
        self._slow += outbox.slow
        for sub in list(self._clients.get(outbox, ())):
            self.unsubscribe(outbox, sub)
        self._clients.pop(outbox, None)
        for channel, followers in list(self._followers.items()):
            followers.leave(outbox)
            if not len(followers):
                del self._followers[channel]

    def subscribe(  # noqa: PLR0917 - the fields of a request to subscribe
        self, outbox: Outbox, sub: int, channel: Channel, max_hz: float, since: Since | None,
        permits: Callable[[str, str], bool],
    ) -> None:  # fmt: skip
        """Send the missed transitions and a snapshot, then follow the channel."""
        period = 1.0 / next((pace for pace in _PACES_HZ if pace <= max_hz), _PACES_HZ[-1])
        feed = self._feeds.get((channel, period))
        if feed is None:
            feed = self._feeds[channel, period] = Feed(self.view, self.ring, self.clock, channel, period)
            if channel.patient:
                self._patient_feeds.setdefault(channel.patient, set()).add(feed)
        subscription = Subscription(sub, outbox, permits)
        self._clients[outbox][sub] = (feed, subscription)
        feed.join(subscription, self.ring.since(since.epoch, since.offset) if since else None)

    def unsubscribe(self, outbox: Outbox, sub: int) -> bool:
        """Stop following; ``False`` if there is no such subscription."""
        found = self._clients.get(outbox, {}).pop(sub, None)
        if found is None:
            return False
        feed, subscription = found
        feed.leave(subscription)
        self._drop_if_empty(feed)
        return True

    def subscriptions(self, outbox: Outbox) -> int:
        """How many subscriptions a connection has."""
        return len(self._clients.get(outbox, ()))

    def has(self, outbox: Outbox, sub: int) -> bool:
        """Whether a connection already uses this number."""
        return sub in self._clients.get(outbox, ())

    def has_on_screen(self, reader: str, ward: str) -> bool:
        """Whether this session follows the whole ward, or all wards. Its audit entry then covers what the page draws."""
        return any(
            outbox.reader == reader and not feed.channel.patient and feed.channel.holds(ward, "")
            for outbox, subscriptions in self._clients.items()
            for feed, _ in subscriptions.values()
        )

    def follow(self, channel: Channel, since: Since | None) -> Outbox:
        """An outbox of alarm transitions as server-sent events: the missed ones or the active alarms, then new ones."""
        outbox = Outbox(self.queue_bytes, "sse")
        self._take_in(outbox)
        followers = self._followers.get(channel)
        if followers is None:
            followers = self._followers[channel] = Followers(self.view, self.ring, self.clock, channel)
        followers.join(outbox, self.ring.since(since.epoch, since.offset) if since else None)
        return outbox

    def _take_in(self, outbox: Outbox) -> None:
        self._clients[outbox] = {}
        if self._stopped:
            outbox.close(1012, "stopping")
        if self._heartbeat is None:
            self._beat()

    def _end(self, feed: Feed, ended: list[Subscription]) -> None:
        for one in ended:
            self._clients[one.outbox].pop(one.sub, None)
        self._drop_if_empty(feed)

    def _drop_if_empty(self, feed: Feed) -> None:
        if not feed.subscriptions:
            self._feeds.pop((feed.channel, feed.period), None)
            self._frames += feed.frames
            feed.frames = 0
            feeds = self._patient_feeds.get(feed.channel.patient, set())
            feeds.discard(feed)
            if not feeds:
                self._patient_feeds.pop(feed.channel.patient, None)

    # -- heartbeat -----------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Send a ping to those whose period is over, and to everybody when the health has changed."""
        loop = asyncio.get_running_loop()
        self._heartbeat = loop.call_later(self.ping / 8, self._beat) if self._clients else None
        due = loop.time() - self.ping
        now, top = self.clock.now() // 1000, self.ring.top
        health = self.health()
        changed, self._grave = grave(health) != self._grave, grave(health)
        texts = {
            "socket": encode(Ping(server_time=now, offset=top, health=health)).decode(),
            "sse": f": ping {now} {self.ring.epoch}:{top}\n\n",
        }
        for outbox in self._clients:
            if changed or outbox.pinged <= due:
                text = texts[outbox.form]
                outbox.pinged = loop.time()
                outbox.put(text, len(text))

    # -- stopping ------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Ask every client to reconnect later, and give the writers a moment to send this."""
        self._stopped = True
        for outbox in list(self._clients):
            outbox.close(1012, "stopping")
        for _ in range(20):
            if not self._clients:
                break
            await asyncio.sleep(0.01)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    def counters(self) -> dict[str, int]:
        """Figures for /metrics."""
        return {
            "connections": len(self._clients),
            "subscriptions": sum(map(len, self._clients.values())),
            "feeds": len(self._feeds),
            "frames": self._frames + sum(feed.frames for feed in self._feeds.values()),
            "alarms": self._alarms,
            "slow_total": self._slow,
            "waiting_bytes": sum(outbox.waiting_bytes for outbox in self._clients),
            "offset": self.ring.top,
        }
