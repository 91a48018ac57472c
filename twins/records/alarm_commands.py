"""Commands about alarms besides the acknowledgement: pauses, "I take it", and the policy of a site or a ward."""

from typing import Literal

import msgspec

__all__ = ["AlarmPolicy", "PauseAlarms", "PauseKind", "SetAlarmPolicy", "TakeAlarm"]

PauseKind = Literal["audio", "alarm"]
"""``audio`` silences the sound; ``alarm`` also hides the visible signal and tells nobody elsewhere."""


class PauseAlarms(msgspec.Struct, tag="pause_alarms", kw_only=True):
    """Pause the sound or all signals until ``until`` (µs) of one alarm, of a patient, or of a ward.

    One alarm: ``patient`` and ``alarm``. A ward: ``ward`` without a patient; the command is written to every partition.
    An ``until`` that is not in the future ends the pause. Ticks end it at its time.
    """

    kind: PauseKind
    patient: str = ""
    stay: int = 0
    alarm: str = ""
    ward: str = ""
    until: int = 0
    reason: str = ""
    by: str = ""
    received: int = 0


class TakeAlarm(msgspec.Struct, tag="take_alarm", kw_only=True):
    """A person says: I take it. The alarm goes on; nobody else is called."""

    patient: str
    alarm: str
    by: str = ""
    received: int = 0


class AlarmPolicy(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a site or a ward decides about alarms; what is not set follows the site, then the defaults.

    ``latches`` says by condition whether its alarm stays after its end until somebody acknowledges it.
    ``remind_after_s`` says by priority after how long an acknowledged alarm that is still true sounds again; 0 is never.
    ``fold_s``: a condition that becomes true again within this time after its end continues the same alarm.
    ``precision_wanted`` is the share of predicted alarms that should come true, 0–1. ``unheard_after_s``: a patient
    whose devices never sent anything for so long has an alarm; 0 is never. ``battery_below`` (percent) and
    ``quality_below`` (0–1): a lower battery or signal quality has an alarm; 0 is never.
    """

    latches: dict[str, bool] = {}
    remind_after_s: dict[str, float] = {}
    longest_audio_pause_s: float | None = None
    longest_alarm_pause_s: float | None = None
    longest_alarm_off_s: float | None = None
    fold_s: float | None = None
    precision_wanted: float | None = None
    unheard_after_s: float | None = None
    battery_below: float | None = None
    quality_below: float | None = None


class SetAlarmPolicy(msgspec.Struct, tag="set_alarm_policy", kw_only=True):
    """Replace the policy of a ward, or of the whole site if ``ward`` is empty; written to every partition."""

    ward: str = ""
    policy: AlarmPolicy
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a later command of the same key replaces."""
        return ("alarm_policy", self.ward)

    @property
    def removes(self) -> bool:
        """Whether nothing is set: what was set before is removed."""
        return self.policy == AlarmPolicy()
