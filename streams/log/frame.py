"""The wire form of observations: read, check, join and split columnar frames."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from streams.errors import FrameError
from streams.log.identity import all_composed
from twins.compiled.sorting import judge, scatter, takeable
from twins.records import Columns, Frame
from twins.signals import SIGNALS

__all__ = ["REASONS", "Verdict", "all_taken", "check", "decode_frame", "encode_frame", "join", "split"]

MAX_READINGS = 2_000_000
"""Most readings one frame may carry."""
MAX_PATIENTS = 1_000_000
"""Most patients one frame may name."""


class Arriving(Frame, tag="frame", kw_only=True):
    """An arriving frame: the length of a list is checked before memory is allocated for it."""

    sources: Annotated[list[str], msgspec.Meta(max_length=1 << 16)] = []  # noqa: RUF012 - msgspec copies it
    patients: Annotated[list[str], msgspec.Meta(max_length=MAX_PATIENTS)]


_decoder = msgspec.msgpack.Decoder(Arriving)
_encoder = msgspec.msgpack.Encoder()
_COLUMNS = (("patient", "<u4"), ("signal", "<u2"), ("time", "<i8"), ("value", "<f8"))


class Verdict(IntEnum):
    """Why a reading of a frame is refused at the door (``OK``: it is not). ``kernels.columns.judge`` writes these numbers."""

    OK = 0
    NOT_FINITE = 1
    UNKNOWN_SIGNAL = 2
    TIME_IN_FUTURE = 3
    TIME_TOO_OLD = 4
    BAD_PATIENT = 5


REASONS: dict[int, str] = {
    Verdict.NOT_FINITE: "not_finite",
    Verdict.UNKNOWN_SIGNAL: "unknown_signal",
    Verdict.TIME_IN_FUTURE: "time_in_future",
    Verdict.TIME_TOO_OLD: "time_too_old",
    Verdict.BAD_PATIENT: "malformed_frame",
}


def decode_frame(body: bytes) -> Columns:
    """Read a frame as a device sends it.

    Raises:
        FrameError: truncated or foreign bytes, another version, columns that are ragged or of unequal length.
    """
    try:
        frame = _decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise FrameError("malformed_frame", "body", f"not a frame: {error}") from None
    if frame.version != 1:
        raise FrameError("malformed_frame", "version", f"frame version {frame.version} is not known; send version 1")
    columns: list[npt.NDArray[Any]] = []
    for name, dtype in _COLUMNS:
        raw: bytes = getattr(frame, name)
        width = np.dtype(dtype).itemsize
        if len(raw) % width:
            raise FrameError("malformed_frame", name, f"{len(raw)} bytes are no whole number of {width}-byte values")
        columns.append(np.frombuffer(raw, dtype))
    count = len(columns[0])
    for (name, _), column in zip(_COLUMNS, columns, strict=True):
        if len(column) != count:
            raise FrameError("malformed_frame", name, f"{len(column)} values beside {count} in column patient")
    if count > MAX_READINGS:
        raise FrameError("malformed_frame", "patient", f"{count} readings; a frame holds at most {MAX_READINGS}")
    return Columns(all_composed(frame.patients), *columns)


def encode_frame(columns: Columns, received: int = 0, sources: Sequence[str] = ()) -> bytes:
    """The frame as bytes; the door sets ``received`` and ``sources``, devices do not."""
    return _encoder.encode(as_record(columns, received, sources))


def as_record(
    columns: Columns, received: int, sources: Sequence[str] = (), source: npt.NDArray[np.uint16] | None = None
) -> Frame:
    """Columns as a record of the log."""
    return Frame(
        received=received,
        sources=list(sources),
        patients=columns.patients,
        patient=columns.patient.astype("<u4", copy=False).tobytes(),
        signal=columns.signal.astype("<u2", copy=False).tobytes(),
        time=columns.time.astype("<i8", copy=False).tobytes(),
        value=columns.value.astype("<f8", copy=False).tobytes(),
        source=b"" if source is None else source.astype("<u2", copy=False).tobytes(),
    )


def check(columns: Columns, now: int, future_us: int, oldest_us: int) -> npt.NDArray[np.uint8]:
    """One ``Verdict`` per reading, for readings that arrive at ``now`` (µs)."""
    verdict = np.empty(len(columns), np.uint8)
    judge(
        columns.patient, columns.signal, columns.time, columns.value, len(columns.patients), len(SIGNALS),
        now - oldest_us, now + future_us, verdict,
    )  # fmt: skip
    return verdict


def all_taken(columns: Columns, now: int, future_us: int, oldest_us: int) -> bool:
    """Whether ``check`` refuses none of the readings: the usual case, decided without a verdict for each."""
    return bool(
        takeable(
            columns.patient, columns.signal, columns.time, columns.value, len(columns.patients), len(SIGNALS),
            now - oldest_us, now + future_us,
        )
    )  # fmt: skip


def select(columns: Columns, keep: npt.NDArray[Any]) -> Columns:
    """Only the readings that ``keep`` picks (mask or indices); the patients' names stay unchanged."""
    return Columns(
        columns.patients, columns.patient[keep], columns.signal[keep], columns.time[keep], columns.value[keep]
    )


def join(parts: Sequence[Columns]) -> Columns:
    """All readings of ``parts`` in order; a patient in several parts has several entries."""
    patients: list[str] = []
    shifted = []
    for part in parts:
        shifted.append(part.patient + np.uint32(len(patients)))
        patients.extend(part.patients)
    return Columns(
        patients,
        np.concatenate(shifted),
        np.concatenate([part.signal for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


def split(columns: Columns, partition: npt.NDArray[np.int64], count: int) -> list[tuple[Columns, npt.NDArray[np.intp]]]:
    """The readings by partition, each with its old positions; ``partition`` has one number per *patient entry*.

    A part leaves out patients who have no reading in it.
    """
    if count == 1:
        return [(columns, np.arange(len(columns), dtype=np.intp))]
    # Patients in order of partition, and each one's number within its partition: vectorised for thousands of names.
    order = partition.astype(np.uint16).argsort(kind="stable")  # with 16 bits it is a radix sort
    counts = np.bincount(partition, minlength=count)
    until = counts.cumsum()
    local = np.empty(len(partition), np.uint32)
    local[order] = np.arange(len(partition)) - (until - counts).repeat(counts)
    sorted_names = list(map(columns.patients.__getitem__, order.tolist()))
    names = [sorted_names[end - size : end] for end, size in zip(until.tolist(), counts.tolist(), strict=True)]
    size = len(columns)
    to = Columns([], np.empty(size, "<u4"), np.empty(size, "<u2"), np.empty(size, "<i8"), np.empty(size, "<f8"))
    places, ends = np.empty(size, np.int64), np.empty(count, np.int64)
    scatter(
        columns.patient, columns.signal, columns.time, columns.value, partition, local, ends,
        to.patient, to.signal, to.time, to.value, places,
    )  # fmt: skip
    parts = []
    for own, first, last in zip(names, [0, *ends.tolist()], ends.tolist(), strict=False):
        here = slice(first, last)
        part = Columns(own, to.patient[here], to.signal[here], to.time[here], to.value[here])
        parts.append((part, places[here]))
    return parts
