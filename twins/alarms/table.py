"""The states of an alarm, what moves it from one to another, and which of its signals are on: both tables as values.

The words are those of IEEE 11073-10207 (BICEPS): the *presence* of the condition, apart from it the *signals* (visible,
audible, remote). A condition is true, false or unknown. ``lifecycle`` looks every change up here. The tests walk through
all sequences of events, and ``vitaltwin alarms table`` prints both tables.
"""

from typing import Literal

import msgspec

__all__ = [
    "ANNUNCIATES",
    "EVENTS",
    "MOVES",
    "SIGNALS_OF",
    "STATES",
    "Event",
    "Move",
    "Presence",
    "Signals",
    "Silencing",
    "markdown",
    "move",
]

Presence = Literal["on", "latched", "acknowledged", "off"]
Event = Literal[
    "began", "recurred", "rose", "worsened", "eased", "ended", "unknown", "known", "acknowledged", "reminded",
    "withdrawn", "discharged", "turned_off", "paused", "resumed", "taken", "escalated", "exhausted", "grouped",
    "ungrouped",
]  # fmt: skip
State = tuple[Presence, bool]
"""The presence, and whether the condition is known: False while nothing measures it."""


class Move(msgspec.Struct, frozen=True):
    """Where an event leads: to ``latching`` if the alarm latches and nobody has acknowledged it, else to ``to``."""

    to: State
    latching: State | None = None


EVENTS: dict[str, str] = {
    "began": "the condition became true; a new alarm",
    "recurred": "the condition became true again within the fold time, or while the alarm was latched",
    "rose": "a higher level of the condition became true (a prediction came true, a limit became critical)",
    "worsened": "clearly worse than what was shown or acknowledged",
    "eased": "only a lower level of the condition is still true",
    "ended": "the condition became false",
    "unknown": "nothing measures the condition any more",
    "known": "it is measured again",
    "acknowledged": "a person acknowledged the alarm",
    "reminded": "acknowledged, but still true after the time to remind",
    "withdrawn": "the readings behind it were wrong",
    "discharged": "the stay ended",
    "turned_off": "a person turned this alarm off, with a reason and an end",
    "paused": "a pause of the sound or of the alarm began",
    "resumed": "that pause ended",
    "taken": "a person said: I take it",
    "escalated": "nobody answered in time: the next one is called",
    "exhausted": "nobody is left to call, or the alarm is too old to call anybody",
    "grouped": "shown under another alarm of the same cause",
    "ungrouped": "no longer under another alarm",
}
"""What each event means."""

_OFF: State = ("off", True)
_ON: State = ("on", True)
_ON_UNKNOWN: State = ("on", False)
_ACKNOWLEDGED: State = ("acknowledged", True)
_ACKNOWLEDGED_UNKNOWN: State = ("acknowledged", False)
_LATCHED: State = ("latched", True)

STATES: tuple[State, ...] = (_OFF, _ON, _ON_UNKNOWN, _ACKNOWLEDGED, _ACKNOWLEDGED_UNKNOWN, _LATCHED)
"""Every state an alarm can be in."""

_CLOSE = {"withdrawn": Move(_OFF), "discharged": Move(_OFF), "turned_off": Move(_OFF)}


def _unchanged(state: State, *events: str) -> dict[str, Move]:
    return {event: Move(state) for event in events}


_NO_STATE = ("paused", "resumed", "taken", "escalated", "exhausted", "grouped", "ungrouped")
"""Events that change who hears of the alarm, not its state."""

MOVES: dict[State, dict[str, Move]] = {
    _OFF: {"began": Move(_ON), "recurred": Move(_ON)},
    _ON: {
        "rose": Move(_ON),
        "worsened": Move(_ON),
        "eased": Move(_ON),
        "ended": Move(_OFF, latching=_LATCHED),
        "unknown": Move(_ON_UNKNOWN),
        "acknowledged": Move(_ACKNOWLEDGED),
        **_CLOSE,
        **_unchanged(_ON, *_NO_STATE),
    },
    _ON_UNKNOWN: {
        "known": Move(_ON),
        "rose": Move(_ON),
        "worsened": Move(_ON),
        "eased": Move(_ON),
        "ended": Move(_OFF, latching=_LATCHED),
        "acknowledged": Move(_ACKNOWLEDGED_UNKNOWN),
        **_CLOSE,
        **_unchanged(_ON_UNKNOWN, *_NO_STATE),
    },
    _ACKNOWLEDGED: {
        "rose": Move(_ON),
        "worsened": Move(_ON),
        "reminded": Move(_ON),
        "eased": Move(_ACKNOWLEDGED),
        "ended": Move(_OFF),
        "unknown": Move(_ACKNOWLEDGED_UNKNOWN),
        **_CLOSE,
        **_unchanged(_ACKNOWLEDGED, "paused", "resumed", "taken", "grouped", "ungrouped"),
    },
    _ACKNOWLEDGED_UNKNOWN: {
        "known": Move(_ACKNOWLEDGED),
        "rose": Move(_ON),
        "worsened": Move(_ON),
        "eased": Move(_ACKNOWLEDGED),
        "ended": Move(_OFF),
        **_CLOSE,
        **_unchanged(_ACKNOWLEDGED_UNKNOWN, "paused", "resumed", "taken", "grouped", "ungrouped"),
    },
    _LATCHED: {
        "recurred": Move(_ON),
        "acknowledged": Move(_OFF),
        **_CLOSE,
        **_unchanged(_LATCHED, *_NO_STATE),
    },
}
"""For each state, the events that may happen in it and where they lead; any other event changes nothing."""

ANNUNCIATES = frozenset({"began", "recurred", "rose", "worsened", "reminded"})
"""Events after which the alarm sounds anew."""


def move(state: State, event: str, *, latches: bool = False) -> State | None:
    """The state after ``event``, or ``None`` if nothing changes because the event has no place in ``state``.

    >>> move(("on", True), "ended", latches=True)
    ('latched', True)
    >>> move(("acknowledged", True), "ended", latches=True)
    ('off', True)
    """
    found = MOVES[state].get(event)
    if found is None:
        return None
    return found.latching if latches and found.latching is not None else found.to


Silencing = Literal["none", "audio_pause", "alarm_pause", "grouped"]
"""What keeps an alarm from being heard: nothing, a pause of the sound, a pause of the alarm, or another alarm above it."""


class Signals(msgspec.Struct, frozen=True):
    """The alarm signals: what the eye sees, what sounds at the ward's screens, and what goes to people elsewhere."""

    visible: str
    audible: str
    remote: str


SIGNALS_OF: dict[tuple[str, str], Signals] = {
    ("on", "none"): Signals("on", "on", "on"),
    ("on", "audio_pause"): Signals("on", "paused", "on"),
    ("on", "alarm_pause"): Signals("paused", "paused", "paused"),
    ("on", "grouped"): Signals("on", "off", "off"),
    ("latched", "none"): Signals("latched", "latched", "off"),
    ("latched", "audio_pause"): Signals("latched", "paused", "off"),
    ("latched", "alarm_pause"): Signals("paused", "paused", "off"),
    ("latched", "grouped"): Signals("latched", "off", "off"),
    ("acknowledged", "none"): Signals("acknowledged", "acknowledged", "acknowledged"),
    ("acknowledged", "audio_pause"): Signals("acknowledged", "acknowledged", "acknowledged"),
    ("acknowledged", "alarm_pause"): Signals("acknowledged", "acknowledged", "acknowledged"),
    ("acknowledged", "grouped"): Signals("acknowledged", "acknowledged", "acknowledged"),
    ("off", "none"): Signals("off", "off", "off"),
    ("off", "audio_pause"): Signals("off", "off", "off"),
    ("off", "alarm_pause"): Signals("off", "off", "off"),
    ("off", "grouped"): Signals("off", "off", "off"),
}
"""By presence and what silences the alarm, the state of each signal."""


def _name(state: State) -> str:
    presence, known = state
    return presence if known else f"{presence}, unknown"


def markdown() -> str:
    """Both tables and the meaning of the events, as Markdown."""
    lines = ["| in state | event | next state |", "|---|---|---|"]
    for state in STATES:
        for event, there in MOVES[state].items():
            to = _name(there.to)
            if there.latching is not None:
                to += f"; {_name(there.latching)} if it latches"
            lines.append(f"| {_name(state)} | {event} | {'unchanged' if there == Move(state) else to} |")
    lines += ["", "| event | meaning |", "|---|---|"]
    lines += [f"| {event} | {meaning} |" for event, meaning in EVENTS.items()]
    lines += ["", "| presence | silenced by | visible | audible | remote |", "|---|---|---|---|---|"]
    lines += [
        f"| {presence} | {why.replace('_', ' ')} | {signals.visible} | {signals.audible} | {signals.remote} |"
        for (presence, why), signals in SIGNALS_OF.items()
    ]
    return "\n".join(lines) + "\n"
