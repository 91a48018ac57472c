"""Connection options, the same for every consumer, producer and admin client."""

import logging
import ssl
from math import inf
from typing import Any

import aiokafka
import faust
from faust.types.auth import CredentialsT

from streams.settings import Settings

# aiokafka logs every failed attempt, several times a second, while a broker is away; our callers log what matters.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

__all__ = ["MOST_BYTES", "credentials", "options", "producer"]

MOST_BYTES = 8 << 20
"""Size of the largest record of any topic."""


def options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for aiokafka's clients: addresses, TLS and SASL from the settings."""
    chosen: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers,
        "security_protocol": settings.kafka_security,
        "ssl_context": _context(settings),
    }
    if settings.kafka_security.startswith("SASL"):
        chosen |= {
            "sasl_mechanism": settings.kafka_sasl,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return chosen


def producer(settings: Settings, **more: Any) -> aiokafka.AIOKafkaProducer:  # noqa: ANN401 - aiokafka's options
    """A producer whose records are written once, in order, and acknowledged by every in-sync replica.

    It keeps its records until Kafka takes them, however long Kafka is away.
    """
    made = aiokafka.AIOKafkaProducer(
        **options(settings), acks="all", enable_idempotence=True, max_request_size=MOST_BYTES, max_batch_size=1 << 20,
        compression_type=None if settings.kafka_compression == "none" else settings.kafka_compression, **more,
    )  # fmt: skip
    # aiokafka drops a record that finds no leader within 40 s. Its sequence number is then missing for ever, and the broker
    # would refuse every later record of that partition.
    made._message_accumulator._batch_ttl = inf  # noqa: SLF001
    return made


def credentials(settings: Settings) -> CredentialsT | None:
    """The same options for Faust."""
    if settings.kafka_security == "PLAINTEXT":
        return None
    context = _context(settings)
    if settings.kafka_security == "SSL":
        return faust.SSLCredentials(context=context)
    return faust.SASLCredentials(
        mechanism=settings.kafka_sasl, username=settings.kafka_user,
        password=settings.kafka_password.get_secret_value(), ssl_context=context,
    )  # fmt: skip


def _context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.kafka_security.endswith("SSL"):
        return None
    context = ssl.create_default_context(cafile=settings.kafka_ca)
    if settings.kafka_certificate is not None:
        context.load_cert_chain(settings.kafka_certificate, settings.kafka_key)
    return context
