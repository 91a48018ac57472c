"""Logging: lines on standard error, as text or JSON, each with the id of its request."""

import logging
import random
import re
import secrets
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["configure", "request_id"]

_random = random.Random(secrets.token_bytes(16))  # noqa: S311 - an id keeps no secret, and the system's own makes us wait
_GIVEN = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


def configure(settings: "Settings") -> None:
    """Log this program and its libraries in the same format, one event per line, from ``log_level`` on.

    A traceback has no values of variables: they would put names of patients and their readings into the log.
    """
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any
    if settings.log_format == "json":
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared += [structlog.processors.ExceptionRenderer(plain)]
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )  # fmt: skip
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def request_id(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The request's ``X-Request-Id`` if it is safe to repeat, else a new id."""
    for name, value in headers:
        if name == b"x-request-id" and _GIVEN.fullmatch(value):
            return value
    return b"%016x" % _random.getrandbits(64)
