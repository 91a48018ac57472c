"""The messages of ``/ws`` in both directions: one struct per message. The AsyncAPI document is made from them.

Times are integer milliseconds since 1970 UTC in service time; not-a-number is sent as ``null``. A message is
encoded once with ``sub`` 0; ``Wire`` inserts each subscriber's own number.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from api.live.alarm import Alarm
from api.live.news2 import News2
from api.live.notice import NoticeView

__all__ = [
    "LARGEST_NUMBER",
    "STATES",
    "AlarmMessage",
    "Auth",
    "Delta",
    "Digest",
    "DigestGroup",
    "Health",
    "Inbound",
    "ModelEntry",
    "NoticeMessage",
    "PatientEntry",
    "Pause",
    "Ping",
    "Reason",
    "Refusal",
    "Result",
    "SignalState",
    "Since",
    "Snapshot",
    "Subscribe",
    "TurnedOff",
    "Unsubscribe",
    "Wire",
    "encode",
]  # fmt: skip

STATES: tuple[str, ...] = ("ok", "searching", "fault", "silent")
"""The states of a channel twin, by the code in ``Estimates.status``."""

State = Literal["ok", "searching", "fault", "silent"]
Reason = Literal[
    "malformed", "unknown_type", "unknown_channel", "unknown_patient", "unknown_sub", "forbidden", "too_many",
    "already", "unavailable",
]  # fmt: skip


LARGEST_NUMBER = (1 << 53) - 1
"""The largest whole number that every client can represent exactly."""
Number = Annotated[int, msgspec.Meta(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
"""A client's own number for a request."""


class SignalState(msgspec.Struct, gc=False):
    """The present state of a signal.

    ``v`` newest plausible reading as observed, ``t`` its effective time, ``m`` ± ``sd`` the estimate,
    ``trend`` per minute, ``q`` quality 0–1, ``s`` the channel's state, ``f`` forecast quantiles by horizon: 5, 50 and
    95 % on a ward, all seven on a patient's channel. ``rejected`` (time, value) is present while the newest
    reading is not possible in a patient.
    """

    t: int | None
    v: float | None
    m: float | None
    sd: float | None
    trend: float | None
    q: float | None
    s: State
    f: list[list[float | None]]
    rejected: tuple[int, float] | UnsetType = UNSET


class Pause(msgspec.Struct):
    """A pause of the patient's alarms: since when and until when (ms), by whom, why, and whether it is for the ward."""

    since: int
    until: int
    by: str
    reason: str
    scope: Literal["patient", "ward"]


class TurnedOff(msgspec.Struct):
    """Alarms of a signal, of NEWS2 or of a rule are off: by whom, why, and until when (ms)."""

    until: int
    by: str
    reason: str


class ModelEntry(msgspec.Struct):
    """The outputs of one of a site's models for a patient, or for one ``signal`` of the patient.

    ``t`` is the time of the newest input behind it, ``outputs`` are (name, unit, mean, sd); ``sd`` may be null.
    """

    model: str
    t: int
    outputs: list[tuple[str, str, float, float | None]]
    signal: str | UnsetType = UNSET


class PatientEntry(msgspec.Struct, kw_only=True):
    """A patient on a channel. A delta has only the changed fields; ``signals`` is merged signal by signal.

    ``measured``: oxygen and consciousness from devices, by signal (value, since when in ms). ``news2_off`` says why there
    is no score; ``adult_limits`` says that the limits of adults are in force for a child.
    ``audio_pause`` and ``alarm_pause`` are the pauses of the patient's alarms in force.
    ``models`` is present on a patient's channel if a model of the site has outputs.
    """

    label: str | UnsetType = UNSET
    ward: str | UnsetType = UNSET
    bed: str | UnsetType = UNSET
    admitted: int | UnsetType = UNSET
    oxygen: float | UnsetType | None = UNSET
    consciousness: str | UnsetType | None = UNSET
    measured: dict[str, tuple[float, int]] | UnsetType = UNSET
    spo2_scale: int | UnsetType = UNSET
    alarms_off: dict[str, TurnedOff] | UnsetType = UNSET
    audio_pause: Pause | UnsetType | None = UNSET
    alarm_pause: Pause | UnsetType | None = UNSET
    age: int | UnsetType | None = UNSET
    news2_off: Literal["", "child", "patient", "ward"] | UnsetType = UNSET
    adult_limits: bool | UnsetType = UNSET
    news2: News2[int] | UnsetType | None = UNSET
    signals: dict[str, SignalState] | UnsetType = UNSET
    alarms: list[Alarm[int]] | UnsetType = UNSET
    models: list[ModelEntry] | UnsetType = UNSET


class Snapshot(msgspec.Struct, tag="snapshot", kw_only=True):
    """Everything on a channel; replaces the client's state of it.

    ``recovered``: every alarm transition missed after ``since`` was sent before this snapshot.
    """

    sub: int
    epoch: str
    offset: int
    server_time: int
    recovered: bool = False
    entries: dict[str, PatientEntry]


class Delta(msgspec.Struct, tag="delta", kw_only=True):
    """Changes: first remove the patients in ``del``, then merge those in ``set``."""

    sub: int
    offset: int
    server_time: int
    set: dict[str, PatientEntry] = {}
    gone: list[str] = msgspec.field(name="del", default_factory=list)


class AlarmMessage(msgspec.Struct, tag="alarm", kw_only=True):
    """One transition of one alarm; ``offset`` grows by one with each transition or notice of the service."""

    sub: int
    offset: int
    alarm: Alarm[int]


class NoticeMessage(msgspec.Struct, tag="notice", kw_only=True):
    """A notice that is due or was cancelled; ``offset`` is in the same numbering as that of transitions."""

    sub: int
    offset: int
    notice: NoticeView[int]


class DigestGroup(msgspec.Struct, kw_only=True):
    """Events of one kind in a ward: how many, of how many patients. ``event`` is what caused them (see the alarm's)."""

    ward: str
    condition: str
    event: str
    priority: str
    count: int
    patients: int


class Digest(msgspec.Struct, tag="digest", kw_only=True):
    """Many events at once, told together: those of the channel from number ``first`` to ``offset``.

    The most urgent ``groups`` come first; ``left_out`` is how many groups are not listed. The active alarms are in the
    entries as always. ``GET /v1/events/missed`` returns the events themselves.
    """

    sub: int
    epoch: str
    first: int
    offset: int
    time: int
    count: int
    patients: int
    groups: list[DigestGroup]
    left_out: int


class Health(msgspec.Struct, kw_only=True):
    """The service's health.

    ``writes`` is empty while readings and acknowledgements are recorded, else the reason: ``disk_full``, ``log_unavailable``,
    ``overloaded``. ``twins`` is ``ok``, ``warming``, ``stopped`` or a sentence. In seconds: ``lag_s`` is the age of the
    oldest input that the twins have not processed, ``estimate_age_s`` how far their newest outcome is behind the present,
    ``clock_apart_s`` how far the service's time is ahead of the wall clock.
    """

    writes: str = ""
    twins: str = "ok"
    lag_s: float = 0.0
    estimate_age_s: float = 0.0
    clock_apart_s: float = 0.0


class Ping(msgspec.Struct, tag="ping", kw_only=True):
    """The heartbeat: sent once a period, whatever else is sent, and at once when the health changes."""

    server_time: int
    offset: int
    health: Health


class Result(msgspec.Struct, tag="result", kw_only=True):
    """A request was carried out; the answer to ``auth`` also has the heartbeat's period (s), the time and the health."""

    id: int
    ping: float | UnsetType = UNSET
    server_time: int | UnsetType = UNSET
    speed: float | UnsetType = UNSET
    health: Health | UnsetType = UNSET


class Refusal(msgspec.Struct, tag="error", kw_only=True):
    """A request was refused (``id``, if it could be read) or the service ended a subscription (``sub``)."""

    id: int | UnsetType = UNSET
    sub: int | UnsetType = UNSET
    reason: Reason
    detail: str = ""


class Since(msgspec.Struct):
    """The last message that a client has seen of a channel."""

    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    offset: Number


class Auth(msgspec.Struct, tag="auth"):
    """The first message: a single-use ticket from ``POST /v1/tickets``."""

    ticket: str
    id: Number = 0


class Subscribe(msgspec.Struct, tag="subscribe"):
    """Follow ``ward/<name>``, ``ward/*`` (all wards of the client) or ``patient/<id>``; ``id`` becomes its ``sub``."""

    id: Number
    channel: Annotated[str, msgspec.Meta(max_length=512)]
    max_hz: float = 1.0
    since: Since | None = None


class Unsubscribe(msgspec.Struct, tag="unsubscribe"):
    """Stop following."""

    id: Number
    sub: Number


Inbound = Auth | Subscribe | Unsubscribe


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be encoded")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def encode(message: object) -> bytes:
    """As JSON; numbers that are not finite become null.

    >>> encode(Since("a", 2))
    b'{"epoch":"a","offset":2}'
    """
    return _encoder.encode(message)


class Wire:
    """A message encoded once for all its subscribers.

    >>> Wire(AlarmMessage(sub=0, offset=1, alarm={})).text(7)
    '{"type":"alarm","sub":7,"offset":1,"alarm":{}}'
    """

    __slots__ = ("_head", "_tail", "_texts", "size")

    def __init__(self, message: Snapshot | Delta | AlarmMessage | NoticeMessage | Digest) -> None:
        body = encode(message)
        head, _, tail = body.partition(b'"sub":0')
        self._head = f'{head.decode()}"sub":'
        self._tail = tail.decode()
        self._texts: dict[int, str] = {}
        self.size = len(body)
        """Approximate bytes on the wire."""

    def text(self, sub: int) -> str:
        """The message for the subscription of this number."""
        text = self._texts.get(sub)
        if text is None:
            text = self._texts[sub] = f"{self._head}{sub}{self._tail}"
        return text
