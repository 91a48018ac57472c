"""Serves the application: uvicorn with our protocols, the same for every command and test."""

import functools
import resource
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.http.connections import Connections
from api.http.protocol import Http
from api.http.websocket_protocol import Socket
from streams.settings import Settings

__all__ = ["LARGEST_MESSAGE", "configuration"]

LARGEST_MESSAGE = 1 << 16
"""Largest message on a WebSocket, in bytes; a longer one closes it with 1009."""
_FILES_FOR_OTHERS = 128
_FILES_MOST = 1 << 16


def configuration(app: FastAPI, settings: Settings, **more: Any) -> uvicorn.Config:  # noqa: ANN401 - uvicorn's
    """The server's configuration; ``more`` are options of uvicorn and take precedence."""
    connections = Connections(settings, _files() - _FILES_FOR_OTHERS)
    app.state.figures.connections = connections
    chosen: dict[str, Any] = {
        "lifespan": "off",
        "http": functools.partial(Http, connections=connections),
        "ws": functools.partial(Socket, connections=connections),
        "ws_max_size": LARGEST_MESSAGE,
        "ws_per_message_deflate": False,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # the application trusts the configured proxies only, and loopback not by default
        "log_config": None,  # api/http/logs.py sets the log format
        "log_level": "warning",
        "timeout_keep_alive": 75,  # a device that sends once a minute keeps its connection
        "timeout_graceful_shutdown": 5,
    }
    return uvicorn.Config(app, **(chosen | more))


def _files() -> int:
    """How many files may be open, after raising the limit as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, _FILES_MOST)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
