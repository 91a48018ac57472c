"""The Faust application of a worker: its consumer settings, its group, and Faust features that are switched off."""

from collections.abc import Awaitable, Callable
from typing import Any

import faust
import structlog

from streams.kafka import group
from streams.kafka.connect import credentials
from streams.kafka.topics import Topics
from streams.settings import Settings

__all__ = ["application"]

_logger = structlog.get_logger(__name__)


class _App(faust.App):  # type: ignore[misc]
    def _create_directories(self) -> None:
        """Create none: the twins are no Faust table, and the current folder may be read-only."""


def application(settings: Settings, take: Callable[[faust.EventT], Awaitable[None]]) -> faust.App:
    """An application with one agent that gives every record of ``inputs`` to ``take``; this acknowledges none."""
    app = _App(
        group.name_of(settings),
        broker=[f"kafka://{server.strip()}" for server in settings.kafka_servers.split(",")],
        broker_credentials=credentials(settings),
        broker_session_timeout=settings.kafka_session_seconds,
        # The other workers learn with their next heartbeat that one has gone: on average half an interval of every hand-over.
        broker_heartbeat_interval=min(0.5, settings.kafka_session_seconds / 6),
        broker_commit_interval=1.0,
        broker_max_poll_interval=300.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 << 20,
        processing_guarantee="at_least_once",
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.kafka_partitions,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        stream_recovery_delay=0.0,
        web_enabled=False,
        loghandlers=[],
    )

    async def each(stream: faust.StreamT[Any]) -> None:
        async for event in stream.noack().events():
            try:
                await take(event)
            except Exception:  # no exception may leave an agent: its event would count as done
                _logger.exception("a record was not processed", partition=event.message.partition)

    topic = app.topic(Topics.of(settings).inputs, value_serializer="raw", key_serializer="raw", partitions=None)
    app.agent(topic, name="twins", concurrency=1)(each)
    return app
