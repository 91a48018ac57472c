"""The open connections: ``/ws`` for dashboards, ``/v1/events`` (server-sent events) for alarms, and their description."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Literal
from weakref import WeakValueDictionary

import structlog
from fastapi import APIRouter, Header, Query, Request, WebSocket, WebSocketDisconnect
from starlette.requests import HTTPConnection
from starlette.responses import Response, StreamingResponse

from api.accounts import Accounts, Action, Actor, require
from api.context import Caller
from api.http.answers import problems, respond
from api.http.guard import same_origin
from api.live.asyncapi import document
from api.live.conversation import Conversation
from api.live.feed import Channel
from api.live.hub import Hub
from api.live.missed import MissedEvents, missed_events
from api.live.outbox import Closed, Outbox
from api.live.protocol import Result, Since, encode
from api.live.session_watch import SessionWatch

__all__ = ["router"]

_AUTH_S = 5.0
_CLOSE_S = 3.0
"""How long a slow client may take to read the closing frame or the end of its stream before it is dropped."""

_CHEAP_S, _REST = 0.002, 4.0
"""After a long request (the snapshot of a large ward) the connection rests for so many times its duration."""
_FAREWELLS = frozenset({"1000", "1001"})
"""Close codes of a client that closes on purpose."""
_log = structlog.get_logger("vitaltwin.api")


class Sockets:
    """Serves WebSockets over the same hub."""

    def __init__(self, hub: Hub, accounts: Accounts, watch: SessionWatch) -> None:
        self._hub = hub
        self._accounts = accounts
        self._watch = watch
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from the handshake to the closing frame."""
        origin = websocket.headers.get("origin")
        if origin is not None and not same_origin(origin, websocket.headers.get("host", "")):
            await websocket.close(4403)
            return
        await websocket.accept()
        try:
            await self._greet(websocket)
        except (WebSocketDisconnect, RuntimeError, OSError):  # the client disconnected meanwhile
            _log.info("socket_lost", client=websocket.client.host if websocket.client else "")

    async def _greet(self, websocket: WebSocket) -> None:
        conversation = Conversation(self._hub, self._accounts)
        try:
            async with asyncio.timeout(_AUTH_S):
                text = await _receive(websocket)
            request, actor = await conversation.greet(text)
        except TimeoutError:
            await _close(websocket, Closed(4401, "no ticket in time"))
        except Closed as closed:
            await _close(websocket, closed)
        else:
            _connection(websocket, "settle")
            await self._talk(websocket, conversation, actor, request)

    async def _talk(self, websocket: WebSocket, conversation: Conversation, actor: Actor, request: int) -> None:
        hub = self._hub
        outbox = conversation.begin(actor)
        self._watch.add(outbox, actor)
        clock = hub.clock
        welcome = Result(
            id=request, ping=hub.ping, server_time=clock.now() // 1000, speed=clock.speed, health=hub.health()
        )
        conversation.answer(welcome)
        turn = self._turns.setdefault(actor.key, asyncio.Lock())
        tasks = [
            asyncio.create_task(work)
            for work in (_write(websocket, outbox), _read(websocket, conversation, turn, outbox), outbox.ended())
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ends = [task.result() for task in done]
        finally:
            self._watch.remove(outbox)
            hub.release(outbox)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        closed = outbox.closed or ends[0]
        if not closed.code and closed.reason not in _FAREWELLS:
            _log.info("socket_lost", client=websocket.client.host if websocket.client else "")
        await _close(websocket, closed)


async def _receive(websocket: WebSocket) -> str:
    """The next text; raises ``Closed``: without code when the client has disconnected, 4400 when it sends bytes."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise Closed(0, str(message.get("code", "")))
    text = message.get("text")
    if not isinstance(text, str):
        raise Closed(4400, "text only")
    return text


async def _read(websocket: WebSocket, conversation: Conversation, turn: asyncio.Lock, outbox: Outbox) -> Closed:
    """Carry out requests, for one session one at a time: a client with many requests delays only itself.

    A client that has not read the earlier answers gets no further ones.
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            text = await _receive(websocket)
            await outbox.eased()
            async with turn:
                began = loop.time()
                conversation.hear(text)
                spent = loop.time() - began
                await asyncio.sleep(_REST * spent if spent > _CHEAP_S else 0)
    except Closed as closed:
        return closed


async def _write(websocket: WebSocket, outbox: Outbox) -> Closed:
    """The connection's only writer: a slow client delays only this task."""
    try:
        while True:
            await websocket.send({"type": "websocket.send", "text": await outbox.take()})
    except Closed as closed:
        return closed
    except (WebSocketDisconnect, RuntimeError, OSError):
        return Closed(0, "gone")


async def _close(websocket: WebSocket, closed: Closed) -> None:
    """Send the reason; a client that does not read even that is dropped."""
    if not closed.code:
        return
    try:
        async with asyncio.timeout(_CLOSE_S):
            await websocket.close(closed.code, closed.reason)
    except TimeoutError:
        _connection(websocket, "abort")
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass


def _connection(spoken: HTTPConnection, wish: Literal["settle", "abort"]) -> None:
    """Call ``wish`` on the server's connection, if the server is ours (``api.http.server``)."""
    connection = spoken.scope.get("state", {}).get("connection")
    if connection is not None:
        getattr(connection, wish)()


async def _drop_when_ended(request: Request, outbox: Outbox) -> None:
    """Drop a stream that is to end while its client reads nothing; it would wait for the client for ever."""
    await outbox.ended()
    await asyncio.sleep(_CLOSE_S)
    _connection(request, "abort")


def _last_seen(last_event_id: str) -> Since | None:
    epoch, _, offset = last_event_id.rpartition(":")
    return Since(epoch, int(offset)) if epoch and offset.isdecimal() and len(offset) < 16 else None


def router(hub: Hub, accounts: Accounts) -> APIRouter:
    """The routes, over this hub and these accounts."""
    routes = APIRouter()
    watch = SessionWatch(accounts)
    routes.add_api_websocket_route("/ws", Sockets(hub, accounts, watch).serve)

    async def stream(request: Request, actor: Actor, channel: Channel, since: Since | None) -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        outbox = hub.follow(channel, since)
        watch.add(outbox, actor)
        dropping = asyncio.create_task(_drop_when_ended(request, outbox))
        try:
            with contextlib.suppress(Closed):
                while True:
                    yield await outbox.take()
        finally:
            dropping.cancel()
            watch.remove(outbox)
            hub.release(outbox)

    @routes.get(
        "/v1/events",
        tags=["alarms"],
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "An endless stream of events.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **problems("unauthenticated", "forbidden", "invalid", "store-unavailable"),
        },
    )
    async def read_events(
        request: Request,
        actor: Caller,
        ward: Annotated[
            str, Query(max_length=128, description="Only this ward. Default: all wards that you may see.")
        ] = "",
        last_event_id: Annotated[
            str, Header(max_length=64, description="The id of the last event seen; the stream continues after it.")
        ] = "",
    ) -> StreamingResponse:
        """Follow alarms as server-sent events.

        Event ``snapshot`` holds all active alarms and pending notices. It comes first, unless the transitions missed since
        ``Last-Event-ID`` can be sent. Event ``alarm`` is one transition. Event ``notice`` is a notice that is due to
        people because nobody answered an alarm, or was cancelled. When more than 100 events come in a second, or a client
        missed more than 1000, event ``digest`` counts them instead; ``GET /v1/events/missed`` returns them. Alarms of high
        priority are always sent one by one. Lines beginning with a colon are the
        heartbeat.
        """
        require(actor, Action.PATIENT_READ, ward or None)
        wards = frozenset({ward}) if ward else None if actor.everywhere else actor.wards
        accounts.audit(actor, Action.PATIENT_READ, detail=f"events {ward or '*'}")
        return StreamingResponse(
            stream(request, actor, Channel(wards), _last_seen(last_event_id)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Connection": "close"},
        )

    @routes.get(
        "/v1/events/missed",
        tags=["alarms"],
        response_model=MissedEvents,
        responses=problems("unauthenticated", "forbidden", "invalid", "not-found", "store-unavailable"),
    )
    async def read_missed(
        actor: Caller,
        epoch: Annotated[str, Query(max_length=64, description="The epoch of the stream or socket.")],
        after: Annotated[int, Query(ge=0, lt=1 << 53, description="The number of the last event that is known.")],
        limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
    ) -> Response:
        """The events that a digest counts, one by one: transitions of alarms and notices, by their numbers.

        The service keeps the newest 32,768 events since its start.
        """
        require(actor, Action.PATIENT_READ)
        accounts.audit(actor, Action.PATIENT_READ, detail=f"events after {after}")
        return respond(missed_events(hub.ring, actor, epoch, after, limit))

    @routes.get("/asyncapi.json", include_in_schema=False)
    async def read_document() -> Response:
        return Response(encode(document()), media_type="application/json")

    return routes
