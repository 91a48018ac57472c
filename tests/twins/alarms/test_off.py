"""Limit alarms turned off: which are silent, which are still raised, and that it always ends."""

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.records import Discharge, SetAlarmOff, Tick


def off(until_s, signal="heart_rate", at=60):
    return SetAlarmOff(
        patient="p", signal=signal, until=T0 + until_s * S, reason="theatre", by="nurse", received=T0 + at * S
    )


def ticked(ward, at):
    return ward.take(Tick(received=T0 + at * S))


def critical(until_s=None):
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 60, value=160.0)
    assert ward.presences("limit.critical_high") == ["on"]
    if until_s is not None:
        ward.take(off(until_s))
    return ward


def test_active_alarms_end_when_turned_off_and_nothing_sounds_until_then():
    ward = critical(until_s=120)
    (end,) = [t for t in ward.outcomes[-1].transitions if t.condition == "limit.critical_high"]
    assert (end.presence, end.by, end.note) == ("off", "nurse", "theatre")
    (profile,) = ward.outcomes[-1].profiles
    held = profile.alarms_off["heart_rate"]
    assert (held.since, held.until, held.by, held.reason) == (T0 + 60 * S, T0 + 120 * S, "nurse", "theatre")
    ward.steady(61, 119, value=160.0)
    assert ward.presences("limit.critical_high") == ["on", "off"]
    assert ticked(ward, 120).profiles[0].alarms_off == {}
    ward.steady(121, 130, value=160.0)
    assert ward.presences("limit.critical_high") == ["on", "off", "on"]


def test_other_signals_and_sensor_alarms_go_on():
    ward = critical(until_s=3600)
    ward.steady(61, 80, signal="oxygen_saturation", value=97.0)
    ward.steady(80, 100, signal="oxygen_saturation", value=80.0)
    assert ward.presences("limit.critical_low") == ["on"]
    for at in range(100, 200):
        ticked(ward, at)
    assert "on" in ward.presences("sensor.silent")


def test_it_lasts_one_shift_at_most():
    ward = critical(until_s=10 * 86_400)
    assert ward.bank.profile(0).alarms_off["heart_rate"].until == T0 + 60 * S + 12 * 3600 * S


def test_turned_on_again_it_sounds_at_once():
    ward = critical(until_s=3600)
    ward.take(off(0, at=70))
    assert ward.outcomes[-1].profiles[0].alarms_off == {}
    ward.steady(71, 80, value=160.0)
    assert ward.presences("limit.critical_high")[-1] == "on"


def test_it_ends_with_the_stay():
    ward = critical(until_s=3600)
    ward.take(Discharge(patient="p", received=T0 + 70 * S))
    assert ward.bank.profile(0).alarms_off == {}


def test_a_signal_without_limits_has_nothing_to_turn_off():
    ward = critical()
    for signal in ("oxygen_flow", "mood"):
        ward.take(off(3600, signal=signal))
        assert ward.outcomes[-1].profiles == []


def test_it_survives_a_restart_and_ends_after_it():
    ward = critical(until_s=120)
    restored = Bank()
    restore(restored, block_of(ward.bank, 0, len(ward.log) - 1))
    restored.finish_catch_up()
    ward.bank = restored
    ward.steady(61, 119, value=160.0)
    assert ward.presences("limit.critical_high") == ["on", "off"]
    ticked(ward, 120)
    ward.steady(121, 130, value=160.0)
    assert ward.presences("limit.critical_high")[-1] == "on"


ILL = {"heart_rate": 135.0, "respiratory_rate": 27.0, "oxygen_saturation": 90.0, "systolic_bp": 105.0}


def ill_until(ward, begin, end, values=ILL):
    for second in range(begin, end):
        ward.take(frame(second, *(("p", signal, value) for signal, value in values.items())))
        ticked(ward, second)


def news2(ward):
    return [
        (t.event, t.condition) for outcome in ward.outcomes for t in outcome.transitions if t.family == "news2"
    ]  # fmt: skip


def test_what_is_true_while_news2_is_off_begins_when_it_is_on_again():
    ward = Ward()
    ill_until(ward, 1, 120)
    (alarm,) = [one for one in ward.bank.alarms.values() if one.family == "news2"]
    assert alarm.condition == "news2.high"
    ward.take(off(300, signal="news2", at=120))
    assert news2(ward)[-1] == ("turned_off", "news2.high")
    ill_until(ward, 121, 300)
    assert [one for one in ward.bank.alarms.values() if one.family == "news2"] == []
    ill_until(ward, 300, 310)
    (again,) = [one for one in ward.bank.alarms.values() if one.family == "news2"]
    assert (again.condition, again.priority, again.presence) == ("news2.high", "high", "on")
    assert again.id != alarm.id
    assert not ward.bank.withheld


def test_what_ends_while_news2_is_off_does_not_begin_again():
    ward = Ward()
    ill_until(ward, 1, 120)
    ward.take(off(600, signal="news2", at=120))
    well = {"heart_rate": 75.0, "respiratory_rate": 15.0, "oxygen_saturation": 98.0, "systolic_bp": 125.0}
    ill_until(ward, 121, 620, well)
    assert news2(ward)[-1][0] == "turned_off"
    assert not ward.bank.withheld


def test_what_is_withheld_survives_a_restart():
    ward = Ward()
    ill_until(ward, 1, 120)
    ward.take(off(300, signal="news2", at=120))
    bank = Bank()
    restore(bank, block_of(ward.bank, 0, len(ward.log) - 1))
    assert bank.withheld == ward.bank.withheld != {}
