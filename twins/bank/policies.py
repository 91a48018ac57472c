"""The policies about alarms in force, by ward."""

from collections.abc import Mapping

from twins.alarms.policy import Policy, policy_of
from twins.bank.settings import Settings
from twins.records import AlarmPolicy, SetAlarmPolicy, Setting

__all__ = ["Policies", "given_policy", "policy_in"]


class Policies:
    """The policy in force in each ward, computed once after each change of ``settings``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._version = -1
        self._of: dict[str, Policy] = {}

    def of(self, ward: str) -> Policy:
        """The policy in force in a ward."""
        if self._version != self._settings.version:
            self._version, self._of = self._settings.version, {}
        found = self._of.get(ward)
        if found is None:
            found = self._of[ward] = policy_in(self._settings.by_key, ward)
        return found


def given_policy(settings: Mapping[tuple[str, ...], Setting], ward: str) -> SetAlarmPolicy | None:
    """The command that set the policy of a ward, or of the whole site if ``ward`` is empty."""
    found = settings.get(("alarm_policy", ward))
    return found if isinstance(found, SetAlarmPolicy) else None


def policy_in(settings: Mapping[tuple[str, ...], Setting], ward: str) -> Policy:
    """The policy in force in a ward: its own, then the site's, then the defaults."""
    levels = [given_policy(settings, ""), given_policy(settings, ward) if ward else None]
    policies: list[AlarmPolicy | None] = [one.policy if one is not None else None for one in levels]
    return policy_of(*policies)
