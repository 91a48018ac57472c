"""``POST /v1/observations``: the busiest door, a raw ASGI application directly in front of the log."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import structs
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.accounts import Action, Actor, require
from api.context import AppContext, caller
from api.http.answers import iso
from api.http.body import BodyTooLarge, Room, Share, inflate, media_type, read_body
from api.http.offload import Offload
from api.http.problems import Fault, Problem
from api.intake.admission import Admissions
from api.intake.batch import Batch
from api.intake.entries import ERROR, Terms, read_json, read_json_now, read_lines, read_lines_now
from streams.errors import FrameError, Overloaded
from streams.log.frame import REASONS, check, decode_frame
from streams.log.log import DeadLetter
from twins.records import Columns, Retract
from twins.signals import SECOND_SOURCE, SIGNALS

__all__ = ["FRAME", "READERS", "Observations"]

FRAME = "application/vnd.vitaltwin.frame+msgpack"
_KEPT, _KEPT_OF_ENTRY = 64 << 10, 4 << 10
"""Bytes in a dead letter: of a body that could not be read at all, and of a single entry."""
_INLINE = 512 << 10
_MANY = 50_000
_AT_ONCE = 50
"""Readings withdrawn together: an alarm that arrives meanwhile waits for at most so many."""
_BEARER = b"Bearer "


def read_frame(body: bytes, _: Terms) -> Batch:
    """The observations of a frame; raises ``Problem``."""
    try:
        columns = decode_frame(body)
    except FrameError as error:
        fault = Fault(error.reason, error.detail, field=error.where)
        raise Problem("malformed-body", f"the frame cannot be read: {error}", faults=[fault]) from None
    return Batch(columns, lambda _, row: _row(columns, row))


class Reader(NamedTuple):
    """How a type of body is read: ``now`` if it is small and valid (else it returns ``None``), or slowly, entry by entry."""

    now: Callable[[bytes, Terms], Batch | None]
    whole: Callable[[bytes, Terms], Batch]


_JSON = Reader(read_json_now, read_json)
_LINES = Reader(read_lines_now, read_lines)
_FRAMES = Reader(read_frame, read_frame)

READERS: dict[str, Reader] = {
    "application/json": _JSON,
    "application/x-ndjson": _LINES,
    "application/ndjson": _LINES,
    FRAME: _FRAMES,
    "application/msgpack": _FRAMES,
    "application/x-msgpack": _FRAMES,
}


class Observations:
    """Reads a batch, refuses invalid entries one by one, and answers once the rest is durable."""

    def __init__(self, context: AppContext) -> None:
        self._wired = context
        self._service = context.service
        self._admissions = Admissions(context.service)
        settings = context.settings
        self._future_us = int(settings.future_tolerance_s * 1e6)
        self._oldest_s = settings.oldest_accepted_s
        self._room = Room(settings.max_bodies_bytes)
        self._beside = Offload()
        self._letters = context.letters
        self._kept_s = max(settings.history_retention_days * 86_400.0, settings.oldest_accepted_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = dict(scope["headers"])
        actor = await self._actor(scope, headers)
        require(actor, Action.OBSERVATION_WRITE)
        if not self._service.ready:
            raise Problem("not-ready", headers={"Retry-After": "1"})
        if self._wired.pulse.now().writes == "overloaded":
            raise Overloaded(2.0, "the twins are too many readings behind")
        with self._room.share() as share:
            response = await self._take(await self._read_batch(headers, receive, actor, share), actor)
        await response(scope, receive, send)

    async def _take(self, batch: Batch, actor: Actor) -> Response:
        if len(batch) > _MANY:
            await self._beside.run(actor.name, self._drop_invalid, batch, self._oldest_s)
        else:
            self._drop_invalid(batch, self._oldest_s)
        _assign(batch, actor)
        later = await self._admissions.sift(batch, actor) if len(batch) else 0.0
        again = {"Retry-After": str(math.ceil(later))} if later else None
        taken = len(batch)
        if taken:
            await self._service.observe(batch.columns, actor.source)
        retracted = await self._retract(batch.errors, actor) if batch.errors else 0
        if batch.refusals:
            await self._keep(batch, actor)
            if not taken and not retracted:
                raise Problem(
                    "nothing-taken",
                    faults=batch.refusals.faults,
                    headers=again,
                    extra={"taken": 0, "refused": len(batch.refusals)},
                )
        return Response(_success(batch, taken, retracted), headers=again, media_type="application/json")

    async def _retract(self, errors: Batch, actor: Actor) -> int:
        """Withdraw readings, after those of the same body are stored; returns how many, once that is durable."""
        self._drop_invalid(errors, self._kept_s)
        _assign(errors, actor)
        self._admissions.sift_known(errors, actor)
        columns = errors.columns
        # A person with all wards withdraws any reading; for others the log decides by the reading's source.
        source = "" if actor.everywhere and actor.kind != "device" else actor.source
        records = [
            Retract(
                patient=columns.patients[patient],
                signal=SIGNALS[code].name,
                time=time,
                by=actor.name,
                source=source,
                reason=ERROR,
            )
            for patient, code, time in zip(
                columns.patient.tolist(), columns.signal.tolist(), columns.time.tolist(), strict=True
            )
        ]
        for start in range(0, len(records), _AT_ONCE):
            await asyncio.gather(*map(self._service.append, records[start : start + _AT_ONCE]))
        for (patient, signal), count in Counter((record.patient, record.signal) for record in records).items():
            self._wired.accounts.audit(actor, "observation.retract", patient, detail=f"{count} of {signal}")
        return len(records)

    async def _actor(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Actor:
        key = headers.get(b"authorization", b"")
        if key.startswith(_BEARER):
            return await self._wired.accounts.recognise_device(key[7:].decode("latin-1").strip())
        return await caller(HTTPConnection(scope))

    async def _read_batch(self, headers: Mapping[bytes, bytes], receive: Receive, actor: Actor, share: Share) -> Batch:
        """The body as a batch; a body that cannot be read at all is stored as a dead letter."""
        settings = self._wired.settings
        body = b""
        try:
            body = await read_body(headers, receive, settings.max_body_bytes, share)
            reader = _reader(headers)
            terms = Terms(settings.max_entries, actor.units)
            encoding = headers.get(b"content-encoding", b"identity").strip().lower()
            if encoding == b"identity" and len(body) <= _INLINE:
                batch = reader.now(body, terms)
                if batch is not None:
                    return batch
            content = body
            if encoding in {b"gzip", b"x-gzip"}:
                content = await self._beside.run(actor.name, inflate, body, settings.max_inflated_bytes)
                share.grow(len(content))
            elif encoding != b"identity":
                raise Problem("unsupported-media-type", "Content-Encoding may be gzip or absent")  # noqa: TRY301
            return await self._beside.run(actor.name, reader.whole, content, terms)
        except Problem as problem:
            if isinstance(problem, BodyTooLarge):
                body = problem.beginning
            fault = problem.faults[0] if problem.faults else Fault(problem.kind.slug.replace("-", "_"), problem.detail)
            self._wired.refused[fault.reason] += 1
            await self._letters.keep(actor.name, [self._letter(actor, fault, fault.field or "body", body)])
            raise

    def _drop_invalid(self, batch: Batch, oldest_s: float) -> None:
        """Drop readings with an invalid value, signal or time; they may be at most ``oldest_s`` old."""
        now = self._service.clock.now()
        verdict = check(batch.columns, now, self._future_us, int(oldest_s * 1e6))
        if not verdict.any():
            return
        columns = batch.columns
        for code in np.unique(verdict[verdict != 0]).tolist():
            rows = np.flatnonzero(verdict == code)
            reason = REASONS[code]

            def detail_of(nth: int, reason: str = reason, rows: npt.NDArray[np.intp] = rows) -> str:
                return self._detail(reason, columns, int(rows[nth]), oldest_s)

            batch.refusals.add_many(batch.entries(rows), reason, detail_of)
        batch.without(verdict != 0)

    def _detail(self, reason: str, columns: Columns, row: int, oldest_s: float) -> str:
        if reason == "time_in_future":
            ahead = f"more than {self._wired.settings.future_tolerance_s:g} s ahead of the service's clock"
            return f"{iso(int(columns.time[row]))} is {ahead}"
        if reason == "time_too_old":
            return f"{iso(int(columns.time[row]))} is more than {oldest_s:g} s ago"
        if reason == "unknown_signal":
            return f"no signal has the code {int(columns.signal[row])}; GET /v1/signals lists them"
        if reason == "not_finite":
            return "the value is not a finite number"
        return f"patient index {int(columns.patient[row])} is outside the list of {len(columns.patients)} patients"

    async def _keep(self, batch: Batch, actor: Actor) -> None:
        """Store dead letters for refused entries: one per listed entry, and one more that counts the rest."""
        self._wired.refused.update(batch.refusals.counts)
        faults = batch.refusals.faults[: self._letters.room(actor.name)]
        letters = [
            self._letter(actor, fault, f"entry {fault.index}", batch.bytes_of(fault.index or 0)[:_KEPT_OF_ENTRY])
            for fault in faults
        ]
        if len(batch.refusals) > len(faults):
            counts = msgspec.json.encode(batch.refusals.counts)
            rest = Fault(
                "and_more",
                f"{len(batch.refusals) - len(faults)} more entries were refused; the body counts all by reason",
            )
            letters.append(self._letter(actor, rest, "body", counts))
        await self._letters.keep(actor.name, letters)

    def _letter(self, actor: Actor, fault: Fault, where: str, body: bytes) -> DeadLetter:
        return DeadLetter(
            received=self._service.clock.now(),
            source=actor.name,
            reason=fault.reason,
            where=where,
            detail=fault.detail,
            body=body[:_KEPT],
        )


def _assign(batch: Batch, actor: Actor) -> None:
    """Convert the signals of a second source to their second signals."""
    if actor.second_source:
        batch.columns = structs.replace(batch.columns, signal=SECOND_SOURCE[batch.columns.signal])


def _reader(headers: Mapping[bytes, bytes]) -> Reader:
    kind = media_type(headers.get(b"content-type", b""))
    reader = READERS.get(kind)
    if reader is None:
        said = f"{kind[:100]} is not accepted here" if kind else "the request does not say what its body is"
        raise Problem("unsupported-media-type", f"{said}; send one of {', '.join(READERS)}")
    return reader


def _success(batch: Batch, taken: int, retracted: int) -> bytes:
    if not batch.refusals and not retracted:
        return b'{"taken":%d,"refused":0,"errors":[]}' % taken
    answer = {"taken": taken, "refused": len(batch.refusals), "errors": batch.refusals.faults}
    return msgspec.json.encode(answer | {"retracted": retracted} if retracted else answer)


def _row(columns: Columns, row: int) -> bytes:
    """A reading of a frame as JSON, as far as its fields are valid."""
    place, code, value = int(columns.patient[row]), int(columns.signal[row]), float(columns.value[row])
    return msgspec.json.encode(
        {
            "patient": columns.patients[place] if place < len(columns.patients) else place,
            "signal": SIGNALS[code].name if code < len(SIGNALS) else code,
            "time": int(columns.time[row]),
            "value": value if np.isfinite(value) else str(value),
        }
    )
