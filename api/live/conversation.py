"""The requests of a client on ``/ws`` and their answers; without a socket: only texts, rights and the hub."""

from math import isfinite

import msgspec

from api.accounts import Accounts, Action, Actor, may
from api.accounts.errors import AccountsError, AuditUnavailable, Unauthenticated
from api.live.feed import Channel
from api.live.hub import Hub
from api.live.outbox import Closed, Outbox
from api.live.protocol import LARGEST_NUMBER, Auth, Inbound, Reason, Refusal, Result, Subscribe, Unsubscribe, encode
from streams.log.identity import composed

__all__ = ["Conversation"]

_MOST_SUBSCRIPTIONS = 64
_MOST_BYTES = 1 << 16
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError)
_decoder: msgspec.json.Decoder[Inbound] = msgspec.json.Decoder(Inbound)


class _RequestRefused(Exception):
    """A request is answered with an error."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Conversation:
    """One client's side of the protocol."""

    def __init__(self, hub: Hub, accounts: Accounts) -> None:
        self._hub = hub
        self._accounts = accounts
        self._actor: Actor
        self._outbox: Outbox

    async def greet(self, text: str) -> tuple[int, Actor]:
        """Take the first message; returns its id and the owner of its ticket.

        Raises:
            Closed: 4400 unreadable, 4401 no valid ticket, 4403 no right to read anything.
        """
        try:
            first = _decoder.decode(_bounded(text))
        except _UNREADABLE as error:
            raise Closed(4400, "malformed") from error
        if not isinstance(first, Auth):
            raise Closed(4401, "authenticate first")
        try:
            actor = await self._accounts.redeem_ticket(first.ticket)
        except Unauthenticated as error:
            raise Closed(4401, "no good ticket") from error
        except AccountsError as error:
            raise Closed(1013, "try again later") from error
        if not may(actor, Action.PATIENT_READ):
            raise Closed(4403, "nothing to read")
        return first.id, actor

    def begin(self, actor: Actor) -> Outbox:
        """Serve this actor from now on; everything for the client goes into the returned outbox."""
        self._actor = actor
        self._outbox = self._hub.outbox()
        self._outbox.reader = actor.key
        return self._outbox

    def hear(self, text: str) -> None:
        """Carry out one request. An invalid one is answered with an error; a text that is not JSON raises ``Closed`` 4400."""
        try:
            request = _decoder.decode(_bounded(text))
        except msgspec.ValidationError as error:
            number, reason = _salvage(text)
            self.answer(Refusal(id=number, reason=reason, detail=str(error)))
            return
        except _UNREADABLE as error:
            raise Closed(4400, "malformed") from error
        try:
            self._carry_out(request)
        except _RequestRefused as refused:
            self.answer(Refusal(id=request.id, reason=refused.reason, detail=refused.detail))

    def answer(self, message: Result | Refusal) -> None:
        """Send an answer."""
        text = encode(message).decode()
        self._outbox.put(text, len(text))

    def _carry_out(self, request: Inbound) -> None:
        if isinstance(request, Subscribe):
            self._subscribe(request)
        elif isinstance(request, Unsubscribe):
            if not self._hub.unsubscribe(self._outbox, request.sub):
                raise _RequestRefused("unknown_sub", "there is no such subscription")
            self.answer(Result(id=request.id))
        else:
            raise _RequestRefused("already", "you are signed in")

    def _subscribe(self, request: Subscribe) -> None:
        hub, outbox, actor = self._hub, self._outbox, self._actor
        if not (isfinite(request.max_hz) and request.max_hz > 0):
            raise _RequestRefused("malformed", "max_hz must be above 0")
        if hub.has(outbox, request.id):
            raise _RequestRefused("already", "this id already names a subscription")
        if hub.subscriptions(outbox) >= _MOST_SUBSCRIPTIONS:
            raise _RequestRefused("too_many", f"at most {_MOST_SUBSCRIPTIONS} subscriptions per connection")
        channel = self._channel(request.channel)
        try:
            self._accounts.audit(actor, Action.PATIENT_READ, channel.patient, detail=f"follow {request.channel}")
        except AuditUnavailable as error:
            raise _RequestRefused("unavailable", "the audit trail cannot be written") from error

        def permits(ward: str, patient: str) -> bool:
            return may(actor, Action.PATIENT_READ, ward, patient)

        hub.subscribe(outbox, request.id, channel, request.max_hz, request.since, permits)

    def _channel(self, name: str) -> Channel:
        """The channel of this name, if the client may follow it. A patient out of reach is answered like an unknown one."""
        kind, _, place = composed(name).partition("/")
        if kind == "ward" and place == "*":
            if self._actor.everywhere:
                return Channel()
            if self._actor.wards:
                return Channel(self._actor.wards)
        elif kind == "ward" and place:
            if may(self._actor, Action.PATIENT_READ, place):
                return Channel(frozenset({place}))
        elif kind == "patient" and place:
            profile = self._hub.view.profile(place)
            if profile is None or not may(self._actor, Action.PATIENT_READ, profile.ward, place):
                raise _RequestRefused("unknown_patient", "no such patient")
            return Channel(patient=place)
        else:
            raise _RequestRefused("unknown_channel", "channels are ward/<name>, ward/* and patient/<id>")
        raise _RequestRefused("forbidden", "you may not read this ward")


def _bounded(text: str) -> str:
    if len(text) > _MOST_BYTES:
        raise Closed(4400, "too long")
    return text


def _salvage(text: str) -> tuple[int | msgspec.UnsetType, Reason]:
    """The id of a request that is JSON but invalid, and the reason.

    Raises ``Closed`` 4400 if it is not JSON. (The strict decoder stops at the first error, so it cannot tell.)
    """
    try:
        found = msgspec.json.decode(text)
    except msgspec.ValidationError:  # JSON, with a number out of range
        return msgspec.UNSET, "malformed"
    except _UNREADABLE as error:
        raise Closed(4400, "malformed") from error
    if not isinstance(found, dict):
        return msgspec.UNSET, "malformed"
    number = found.get("id")
    reason: Reason = "malformed" if found.get("type") in ("auth", "subscribe", "unsubscribe") else "unknown_type"
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) > LARGEST_NUMBER:
        number = msgspec.UNSET
    return number, reason
