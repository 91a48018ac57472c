"""The OpenAPI document, completed with what FastAPI does not know: problems, raw ASGI doors, authentication."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.context import COOKIE
from api.doors.facts import SCHEMAS
from api.doors.observations import FRAME, READERS
from api.http.answers import problems, with_plain_names
from api.intake.entries import ERROR
from streams.log.entries import STATUSES
from twins.signals import SIGNALS

__all__ = ["describe"]

_TIME = {"type": "string", "format": "date-time"}
_FAULT = {
    "type": "object",
    "required": ["reason", "detail"],
    "properties": {
        "index": {"type": "integer", "minimum": 0, "description": "Which entry of a batch."},
        "field": {"type": "string", "description": "Which field of the body or the query."},
        "reason": {"type": "string"},
        "detail": {"type": "string"},
    },
}
_COMPONENTS: dict[str, Any] = {
    "Fault": _FAULT,
    "Problem": {
        "type": "object",
        "description": "RFC 9457; type is an address that explains the problem and what to do.",
        "required": ["type", "title", "status", "detail", "instance", "errors"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        },
    },
    "Observation": {
        "type": "object",
        "required": ["patient", "signal", "time", "value"],
        "properties": {
            "patient": {"type": "string", "minLength": 1, "maxLength": 128},
            "signal": {"enum": [signal.name for signal in SIGNALS]},
            "time": {**_TIME, "description": "The time of the measurement, with a zone."},
            "value": {
                "anyOf": [{"type": "number"}, {"enum": ["LOW", "HIGH"]}],
                "description": "A CGM or meter at the end of its range may send the word that it shows.",
            },
            "unit": {
                "type": "string",
                "description": "UCUM or a common spelling. Default: the signal's own unit; glucose always needs one.",
            },
            "status": {"enum": list(STATUSES), "description": "The FHIR statuses of a valid reading."},
            "device": {
                "type": "string",
                "description": "Ignored: the key identifies the sender and says whether it is a second source.",
            },
        },
    },
    "Retraction": {
        "type": "object",
        "description": "Withdraws the reading of exactly this patient, signal and time; the history no longer shows it.",
        "required": ["patient", "signal", "time", "status"],
        "properties": {
            "patient": {"type": "string", "minLength": 1, "maxLength": 128},
            "signal": {"enum": [signal.name for signal in SIGNALS]},
            "time": {**_TIME, "description": "The time of the measurement, as sent."},
            "status": {"const": ERROR},
        },
    },
    "Taken": {
        "type": "object",
        "required": ["taken", "refused", "errors"],
        "properties": {
            "taken": {"type": "integer", "minimum": 0},
            "refused": {"type": "integer", "minimum": 0},
            "retracted": {
                "type": "integer",
                "minimum": 1,
                "description": "Number of withdrawn readings; omitted if none.",
            },
            "errors": {
                "type": "array",
                "maxItems": 1000,
                "description": "Refused entries, the first thousand.",
                "items": {"$ref": "#/components/schemas/Fault"},
            },
        },
    },
}
_ENTRY = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Observation", "Retraction")]}
_FRAME_TEXT = (
    'A msgpack map {"type": "frame", "version": 1, "patients": [ids], "patient": bytes u32le, "signal": bytes u16le, '
    '"time": bytes i64le µs since 1970 UTC, "value": bytes f64le}: columns of equal length, patient is an index into '
    "patients, signal a code of GET /v1/signals, values in the signals' own units."
)


def _body(kind: str) -> dict[str, Any]:
    if kind == "application/json":
        return {"schema": {"anyOf": [*_ENTRY["anyOf"], {"type": "array", "items": _ENTRY}]}}
    if "ndjson" in kind:
        return {"schema": {"type": "string", "description": "One observation or retraction per line."}}
    return {"schema": {"type": "string", "format": "binary", "description": _FRAME_TEXT}}


def _observations() -> dict[str, Any]:
    refused = problems(
        "malformed-body", "unauthenticated", "forbidden", "foreign-origin", "body-too-large", "unsupported-media-type",
        "nothing-taken", "not-ready", "overloaded", "log-unavailable", "store-unavailable", "storage-full",
    )  # fmt: skip
    taken = {"application/json": {"schema": {"$ref": "#/components/schemas/Taken"}}}
    shown = ("application/json", "application/x-ndjson", FRAME)
    return {
        "tags": ["observations"],
        "summary": "Observe",
        "description": (
            "Readings of any number of patients and signals; gzip by Content-Encoding. "
            "The answer comes when the accepted entries are durable. Each entry is checked by itself: "
            "an invalid one never prevents a valid one. "
            "The same reading may be sent again. "
            f'A JSON entry with status "{ERROR}" withdraws a reading, after the readings of the same body are durable. '
            f"Also accepted: {', '.join(kind for kind in READERS if kind not in shown)}."
        ),
        "operationId": "observe",
        "requestBody": {"required": True, "content": {kind: _body(kind) for kind in shown}},
        "responses": {"200": {"description": "The accepted entries", "content": taken}}
        | {str(status): answer for status, answer in refused.items()},
    }


def describe(app: FastAPI) -> dict[str, Any]:
    """The document of an application, made once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = with_plain_names(
        get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
    )
    paths = document["paths"]
    paths["/v1/observations"] = {"post": _observations()}
    document["paths"] = dict(sorted(paths.items()))
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_COMPONENTS | SCHEMAS)
    document["components"]["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        "device": {"type": "http", "scheme": "bearer"},
    }
    for path, operations in paths.items():
        for operation in operations.values():
            _complete(path, operation)
    app.openapi_schema = document
    return document


_PUBLIC = ("/health/", "/sign-in", "/problems/", "/asyncapi.json", "/metrics")


def _complete(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    for status, answer in problems("misdirected", "address-too-long", "headers-too-large", "internal").items():
        responses.setdefault(str(status), answer)
    if not path.startswith(_PUBLIC) and operation.get("operationId", "").startswith("sign_in_v1") is False:
        operation["security"] = [{"session": []}, {"device": []}]
