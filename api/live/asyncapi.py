"""The AsyncAPI 3 document of ``/ws``, made from the message types, so that the two always agree."""

from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec

from api.http.answers import with_plain_names
from api.live.protocol import (
    AlarmMessage,
    Auth,
    Delta,
    Digest,
    NoticeMessage,
    PatientEntry,
    Ping,
    Refusal,
    Result,
    Snapshot,
    Subscribe,
    Unsubscribe,
)  # fmt: skip

__all__ = ["RECEIVED", "SENT", "document"]

SENT: tuple[type[msgspec.Struct], ...] = (Snapshot, Delta, AlarmMessage, NoticeMessage, Digest, Ping, Result, Refusal)
"""What the service sends."""

RECEIVED: tuple[type[msgspec.Struct], ...] = (Auth, Subscribe, Unsubscribe)
"""What a client sends."""

_SCHEMAS = "#/components/schemas/"
_ABOUT = """\
JSON texts. The first message is `auth` with a single-use ticket from `POST /v1/tickets`, within 5 s. Each `subscribe` is
answered by a `snapshot` with `sub` = its `id`; `delta`, `alarm` and `notice` follow. Alarm transitions and notices are numbered
(`offset`) within an `epoch`. A client that reconnects sends `since`, and gets every missed one, then a snapshot with
`recovered` true.
When more than 100 events a second come for a channel, the others come together in a `digest`; alarms of high priority
never do. A client that missed very many events gets a digest of them, too.
A `ping` comes every `ping` seconds, and at once when the service's health changes. It carries that health. After 2.5 periods
without a message the connection is lost.
The connection ends with 4400 after a text that is not JSON, not UTF-8 or nested too deeply, after a message that is not text,
and after an unknown first message. After sign-in, JSON that is not a valid request is answered by `error`, and the connection
goes on.
Close codes: 4400 malformed, 4401 not (or no longer) signed in, 4403 forbidden, 4408 slow, 1009 a message of more than 64 KiB,
1012 the service stops.
"""


def _summary(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "summary": _summary(kind),
        "contentType": "application/json",
        "payload": {"$ref": f"{_SCHEMAS}{kind.__name__}"},
    }


def _operation(action: str, summary: str, kinds: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/ws"},
        "messages": [{"$ref": f"#/channels/ws/messages/{kind.__name__}"} for kind in kinds],
    }


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    kinds = SENT + RECEIVED
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_SCHEMAS + "{name}")
    schemas = with_plain_names(schemas)
    # In a snapshot an entry is complete; only a delta omits unchanged fields. ``models`` exists only at sites with own models.
    schemas["WholeEntry"] = {
        "allOf": [
            {"$ref": f"{_SCHEMAS}{PatientEntry.__name__}"},
            {"required": [name for name in PatientEntry.__struct_encode_fields__ if name != "models"]},
        ]
    }
    schemas["Snapshot"]["properties"]["entries"]["additionalProperties"] = {"$ref": f"{_SCHEMAS}WholeEntry"}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "vitaltwin", "version": version("vitaltwin"), "description": _ABOUT},
        "defaultContentType": "application/json",
        "channels": {
            "ws": {
                "address": "/ws",
                "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "tell": _operation("send", "Messages from the service to a client.", SENT),
            "ask": _operation("receive", "Messages from a client to the service.", RECEIVED),
        },
        "components": {"messages": {kind.__name__: _message(kind) for kind in kinds}, "schemas": schemas},
    }
