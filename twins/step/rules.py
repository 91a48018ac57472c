"""A site's rules in the step: which are in force for whom, their alarms, and the commands that set them."""

import numpy as np
import numpy.typing as npt

from twins.alarms import lifecycle, rule_explain, rule_kernel
from twins.alarms.age_bands import band_of
from twins.alarms.rules import in_hours, local_minute
from twins.arrays import I8, U1, U4
from twins.bank import layout
from twins.bank.bank import BLOCK, Bank
from twins.records import SetRules, SetZone
from twins.step.effects import Effects

__all__ = ["judge", "pass_time", "set_rules", "set_zone"]

_MINUTE_US = 60_000_000


def judge(effects: Effects, numbers: I8) -> None:
    """Judge the rules of ``numbers`` and apply what changed to the alarms."""
    bank = effects.bank
    rules = bank.rules
    if not len(numbers) or not (len(rules) or bank.rule_force[numbers].any()):
        return
    force = _force(bank, numbers, effects.now)
    bank.rule_force[numbers] = force
    turned = np.empty((len(numbers), len(rules)), np.int8)
    changed = rule_kernel.evaluate(
        numbers, effects.now, force, rules.rules.operations, rules.rules.spans, rules.rules.figures, rules.columns, bank.slot,
        bank.state, bank.watch, bank.judged, bank.limit, bank.phase, layout.PARAMETERS, bank.parts, bank.unscored,
        bank.score_rise, rules.phase, rules.truth, rules.since, rules.moved, rules.happened, turned,
    )  # fmt: skip
    if not changed:
        return
    for at, which in zip(*(places.tolist() for places in turned.nonzero()), strict=True):
        number, condition = int(numbers[at]), rules.rules.conditions[which]
        if turned[at, which] == rule_kernel.BEGINS:
            why, text = rule_explain.of_rule(bank, number, which, effects.now)
            effects.begin(number, condition, -1, effects.now, condition.priority, None, None, why, text)
        elif turned[at, which] == rule_kernel.ENDS:
            effects.end(number, condition.name, -1, effects.now)
        elif (number, condition.name, -1) in bank.alarms:
            alarm, known = bank.alarms[number, condition.name, -1], turned[at, which] == rule_kernel.KNOWN
            effects.add_transition(number, lifecycle.set_known(alarm, known, bank.profile(number).ward, effects.now))


def pass_time(effects: Effects, live: U1, judged: I8) -> None:
    """Judge on a tick the patients whose rules wait or are on, or came into force; ``judged`` were judged already."""
    bank = effects.bank
    rules = bank.rules
    count = bank.patients
    if not count or not (len(rules) or bank.rule_force[:count].any()):
        return
    everybody = np.arange(count)
    asked = rules.phase[:count].any(axis=1) | (_force(bank, everybody, effects.now) != bank.rule_force[:count])
    asked &= live[:count] != 0
    asked[judged] = False
    (numbers,) = asked.nonzero()
    bank.dirty.update((numbers // BLOCK).tolist())
    judge(effects, numbers)


def set_rules(effects: Effects, command: SetRules) -> None:
    """Put rules in force for everybody. Alarms of rules that are gone, or decide otherwise now, end."""
    bank = effects.bank
    before = {rule.key for rule in bank.rules.rules.rules}
    named = {f"rule.{rule.id}": rule.key for rule in bank.rules.rules.rules}
    bank.rules.set_rules(effects.outcome.offset, command)
    effects.outcome.rules = command
    bank.minute = -1
    kept = before & {rule.key for rule in bank.rules.rules.rules}
    for key in sorted(bank.alarms):
        number, condition, _ = key
        if condition.startswith("rule.") and bank.live[number] and named.get(condition) not in kept:
            alarm = bank.alarms[key]
            effects.add_transition(
                number, lifecycle.close(alarm, "turned_off", bank.profile(number).ward, effects.now)
            )  # fmt: skip
            effects.remove(key, effects.now)
    for number, condition, code in sorted(bank.withheld):
        if condition.startswith("rule.") and bank.live[number] and named.get(condition) not in kept:
            effects.end(number, condition, code, effects.now)
    (live,) = bank.live[: bank.patients].nonzero()
    bank.rules.drop_others(live)
    _judge_everybody(effects)


def set_zone(effects: Effects, command: SetZone) -> None:
    """Set the time zone of a ward."""
    effects.bank.rules.set_zone(effects.outcome.offset, command)
    effects.outcome.zones.append(command)
    effects.bank.minute = -1  # parts of the day are elsewhere now: the next tick writes the limits again
    _judge_everybody(effects)


def _judge_everybody(effects: Effects) -> None:
    bank = effects.bank
    bank.rules.known[:] = 0
    (numbers,) = (bank.live[: bank.patients] * bank.active[: bank.patients]).nonzero()
    bank.dirty.update((numbers // BLOCK).tolist())
    judge(effects, numbers)


def _force(bank: Bank, numbers: I8, now: int) -> U4:
    """A bit per rule that is in force for each of ``numbers`` at ``now``."""
    rules = bank.rules
    (unknown,) = (rules.known[numbers] == 0).nonzero()
    for number in numbers[unknown].tolist():
        _place(bank, number)
    hours = _in_hours(bank, now)
    force: npt.NDArray[np.uint32] = rules.applies[numbers] & hours[rules.place[numbers]]
    return force


def _place(bank: Bank, number: int) -> None:
    """Write which rules are for a patient, by ward and age, and the patient's time zone."""
    rules, profile = bank.rules, bank.profiles[number]
    rules.known[number] = 1
    if profile is None:
        rules.applies[number] = 0
        return
    band, bits = band_of(profile.age), 0
    for at, rule in enumerate(rules.rules.rules):
        if (not rule.wards or profile.ward in rule.wards) and (not rule.ages or band in rule.ages):
            bits |= 1 << at
    rules.applies[number] = bits
    rules.place[number] = rules.zone_number(profile.ward)


def _in_hours(bank: Bank, now: int) -> U4:
    """By time zone, a bit per rule whose hours include ``now``; computed once a minute."""
    rules = bank.rules
    minute = now // _MINUTE_US
    if rules.hours_at != (minute, len(rules.places)):
        rules.hours_at = (minute, len(rules.places))
        rules.hours = np.array([
            sum(
                1 << at for at, rule in enumerate(rules.rules.rules)
                if in_hours(rule.hours, rule.days, local_minute(zone, now))
            )
            for zone in rules.places
        ], np.uint32)  # fmt: skip
    return rules.hours
