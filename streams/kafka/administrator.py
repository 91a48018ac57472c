"""Kafka's admin client."""

import aiokafka.errors
from aiokafka.admin import AIOKafkaAdminClient

from streams.errors import KafkaUnusable
from streams.kafka.connect import options
from streams.settings import Settings

__all__ = ["Administrator"]


class Administrator:
    """An admin client for an ``async with`` block; raises ``KafkaUnusable`` on entry if no broker answers."""

    def __init__(self, settings: Settings) -> None:
        self._servers = settings.kafka_servers
        self._client = AIOKafkaAdminClient(**options(settings), request_timeout_ms=10_000)

    async def __aenter__(self) -> AIOKafkaAdminClient:
        try:
            await self._client.start()
        except aiokafka.errors.KafkaConnectionError as error:
            await self._client.close()
            raise KafkaUnusable(
                f"no Kafka broker answers at {self._servers}; set VITALTWIN_KAFKA_SERVERS to the brokers"
            ) from error
        except BaseException:
            await self._client.close()
            raise
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()
