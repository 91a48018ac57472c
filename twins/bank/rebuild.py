"""Twins rebuilt from the log when the channels of a checkpoint cannot be read: other columns, or damaged bytes.

What a log of some days does not contain is taken from the checkpoint: the patients, their limits, what was charted, and
the active alarms. Everything else follows from the records.
"""

from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.lifecycle import Level
from twins.bank import layout
from twins.bank.bank import BLOCK, Bank
from twins.bank.checkpoint import Block, Foundation, restore_patients
from twins.models.deterioration.news2 import PARAMETERS
from twins.records import Notice

__all__ = ["begin_patients", "begin_wards", "keep_alarms"]

_CHARTED = ("active", "oxygen", "oxygen_time", "consciousness", "consciousness_time", "device", "scale2", "unscored")
_CHANNEL = {condition.name: at for at, condition in enumerate(CHANNEL_CONDITIONS)}
_SCORE = {condition.name: at for at, condition in enumerate(SCORE_CONDITIONS)}


def begin_patients(bank: Bank, block: Block) -> None:
    """Admit the patients of the block, without channels, to a bank that has read nothing yet."""
    charted = {name: block.arrays[name] for name in _CHARTED if name in block.arrays}
    restore_patients(bank, block, charted)
    bank.covered[block.number] = -1


def begin_wards(bank: Bank, kept: Foundation) -> None:
    """Restore the limits of wards, whether they use NEWS2, their time zones, the site's rules and settings."""
    for offset, limits in kept.ward_changes:
        bank.set_ward_limits(offset, limits)
    for offset, ward in kept.wards:
        bank.set_ward(offset, ward)
    for offset, zone in kept.zones:
        bank.rules.set_zone(offset, zone)
    for offset, rules in kept.rules:
        bank.rules.set_rules(offset, rules)
    for offset, setting in kept.settings:
        bank.settings.set(offset, setting)


def keep_alarms(bank: Bank, block: Block) -> None:
    """Restore the alarms that were active, after the bank has read the log to its end.

    An alarm that is active again keeps the id under which it was shown and acknowledged. One that is not active again
    is still shown. It ends as every alarm does: with the next reading or score that ends it, or by its acknowledgement.
    """
    for owner, condition, code, alarm in block.alarms:
        number = block.number * BLOCK + owner
        if bank.profiles[number] is None or not bank.active[number]:
            continue
        if condition.startswith("rule.") and bank.rules.rule(condition) < 0:
            continue  # the rule is gone
        key = (number, condition, code)
        again = bank.alarms.get(key)
        if again is None:
            bank.alarms[key] = alarm
            if pending := _of_alarm(block, owner, alarm.id):
                bank.notices[number] = bank.notices.get(number, []) + pending
            for name, level in alarm.levels.items():
                _to_be_ended(bank, number, name, code, level)
        elif again.id != alarm.id:
            if again.standing and alarm.presence == "latched":
                alarm.presence = "on"
            alarm.standing = again.standing
            alarm.levels = again.levels
            bank.alarms[key] = alarm


def _of_alarm(block: Block, owner: int, alarm: str) -> list[Notice]:
    """The pending notices of one alarm in a checkpoint."""
    return [one for at, notices in block.notices if at == owner for one in notices if one.alarm == alarm]


def _to_be_ended(bank: Bank, number: int, condition: str, code: int, level: Level) -> None:
    if code < 0 and condition in _SCORE:
        bank.score_phase[number, _SCORE[condition]] = layout.ON
        bank.score_since[number, _SCORE[condition]] = level.since
        told = level.explanation.get("news2", {}).get("parts", {})
        for column, name in enumerate(PARAMETERS):
            if bank.known_parts[number, column] < 0 and name in told:
                # The inputs of the score are no longer known: the alarm stays until they are.
                bank.known_parts[number, column] = told[name]
    elif condition.startswith("rule."):
        bank.rules.turn_on(number, condition)
    elif code >= 0 and condition in _CHANNEL:
        which, row = _CHANNEL[condition], bank.open_channel(number, code)
        if which < layout.CONDITIONS:
            bank.phase[row, which] = layout.ON
            bank.since[row, which] = level.since
        elif layout.RATE_FALLING <= which <= layout.LOW_QUALITY:
            bank.rate_phase[row, which - layout.RATE_FALLING] = layout.ON
