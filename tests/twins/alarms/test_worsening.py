"""After an acknowledgement a clear worsening sounds again, for limits and NEWS2; times and numbers of an episode."""

import pytest

from tests.twins.step.test_step import T0, S, Ward, frame
from twins.bank.checkpoint import block_of, restore
from twins.records import Acknowledge, Retract, Tick, Transition
from twins.signals import BY_NAME, SIGNALS
from twins.step.estimates import complete


def changes(ward, condition, signal=None):
    """All transitions of a condition, in order."""
    return [
        one for outcome in ward.outcomes for one in outcome.transitions
        if one.condition == condition and signal in {None, one.signal}
    ]  # fmt: skip


def acknowledge(ward, at, condition):
    (alarm,) = [alarm for alarm in ward.bank.alarms.values() if alarm.condition == condition]
    ward.take(Acknowledge(patient="p", alarm=alarm.id, by="nurse", note="seen", received=T0 + at * S))
    return alarm


def test_an_acknowledged_fall_of_saturation_sounds_again_at_each_step():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    ward.steady(60, 80, "oxygen_saturation", 84)
    acknowledge(ward, 80, "limit.critical_low")
    ward.steady(80, 100, "oxygen_saturation", 82)  # no clear step
    found = changes(ward, "limit.critical_low")
    assert [one.presence for one in found] == ["on", "acknowledged"]
    ward.steady(100, 120, "oxygen_saturation", 55)
    acknowledge(ward, 120, "limit.critical_low")
    ward.steady(120, 140, "oxygen_saturation", 50)
    found = changes(ward, "limit.critical_low")
    assert [one.presence for one in found] == ["on", "acknowledged", "on", "acknowledged", "on"]
    assert [one.value for one in found] == [84, 84, 55, 55, 50]
    assert [one.number for one in found] == [1, 2, 3, 4, 5]
    again = found[2]
    assert (again.onset_value, again.extreme, again.limit, again.by, again.note) == (84, 55, 85, "", "")
    assert again.explanation["observations"][-1][1] == 55
    assert len({one.alarm for one in found}) == 1
    # The delay of a critical limit applies to the onset and to each further step.
    assert (again.time - T0) // S == 100 + BY_NAME["oxygen_saturation"].critical_delay_s


def test_one_deep_reading_is_no_worsening_while_a_limit_has_a_delay():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    ward.steady(60, 80, "oxygen_saturation", 84)
    acknowledge(ward, 80, "limit.critical_low")
    for at in range(80, 200):
        ward.take(frame(at, ("p", "oxygen_saturation", 55 if at % 4 == 0 else 84)))
    assert [one.presence for one in changes(ward, "limit.critical_low")] == ["on", "acknowledged"]


def test_an_unacknowledged_alarm_reports_each_step_once():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    for at in range(60, 360):
        ward.take(frame(at, ("p", "oxygen_saturation", max(60, 84 - (at - 60) // 10))))
    found = changes(ward, "limit.critical_low")
    assert {one.presence for one in found} == {"on"}
    assert 4 <= len(found) <= 7
    values = [one.value for one in found]
    assert values == sorted(values, reverse=True)


def test_sparse_readings_worsen_with_the_next_reading_or_by_ticks_during_a_delay():
    ward = Ward()
    for at in range(0, 3000, 300):
        ward.take(frame(at, ("p", "glucose", 120 - at // 60)))
    for at in range(3000, 3601, 300):
        ward.take(frame(at, ("p", "glucose", 53)))
    acknowledge(ward, 3601, "limit.critical_low")
    ward.take(frame(3900, ("p", "glucose", 42)))
    assert [one.presence for one in changes(ward, "limit.critical_low")] == ["on", "acknowledged", "on"]

    ward = Ward()
    for at in range(0, 3600, 600):
        ward.take(frame(at, ("p", "body_temperature", 39.3)))
        for tick in range(1, 60):
            ward.take(Tick(T0 + (at + tick) * S))
    acknowledge(ward, 3600, "limit.high")
    ward.take(frame(3601, ("p", "body_temperature", 40.3)))
    assert changes(ward, "limit.high")[-1].presence == "acknowledged"
    for tick in range(3602, 3640):
        ward.take(Tick(T0 + tick * S))
    assert changes(ward, "limit.high")[-1].presence == "on"
    assert (changes(ward, "limit.high")[-1].time - T0) // S == 3631


def test_a_low_alarm_does_not_report_what_the_critical_one_reports():
    ward = Ward()
    ward.steady(1, 60, "oxygen_saturation", 96)
    ward.steady(60, 160, "oxygen_saturation", 87)
    acknowledge(ward, 160, "limit.low")
    ward.steady(160, 220, "oxygen_saturation", 70)
    assert [one.presence for one in changes(ward, "limit.low")] == ["on", "acknowledged"]
    assert [one.presence for one in changes(ward, "limit.critical_low")] == ["on"]


def test_acknowledging_one_alarm_changes_no_other():
    ward = Ward()
    for at in range(1, 60):
        ward.take(frame(at, ("p", "oxygen_saturation", 96), ("p", "heart_rate", 80)))
    for at in range(60, 100):
        ward.take(frame(at, ("p", "oxygen_saturation", 80), ("p", "heart_rate", 150)))
    before = {key: (alarm.presence, alarm.changes) for key, alarm in ward.bank.alarms.items()}
    (key,) = [key for key in ward.bank.alarms if key[1] == "low"]
    ward.take(Acknowledge(patient="p", alarm=ward.bank.alarms[key].id, by="n", received=T0 + 100 * S))
    after = {key: (alarm.presence, alarm.changes) for key, alarm in ward.bank.alarms.items()}
    assert before.pop(key) != after.pop(key)
    assert before == after


def sick(ward, begin, end, **values):
    """All signals of a monitor, once a second."""
    for at in range(begin, end):
        ward.take(frame(at, *[("p", name, value) for name, value in values.items()]))
        ward.take(Tick(T0 + at * S))


ILL = {"respiratory_rate": 22, "oxygen_saturation": 93, "systolic_bp": 95, "heart_rate": 100}  # 2 + 2 + 2 + 1 = 7
DYING = {"respiratory_rate": 28, "oxygen_saturation": 88, "systolic_bp": 82, "heart_rate": 135}  # 3 + 3 + 3 + 3 = 12


def test_news2_that_rises_after_its_acknowledgement_sounds_again():
    ward = Ward()
    sick(ward, 1, 120, **ILL)
    assert [one.value for one in changes(ward, "news2.high")] == [7]
    acknowledge(ward, 120, "news2.high")
    sick(ward, 120, 200, **ILL)
    assert [one.presence for one in changes(ward, "news2.high")] == ["on", "acknowledged"]
    sick(ward, 200, 320, **DYING)
    found = changes(ward, "news2.high")
    assert [one.presence for one in found][:3] == ["on", "acknowledged", "on"]
    assert (found[-1].value, found[-1].onset_value, found[-1].extreme) == (12, 7, 12)
    assert found[-1].explanation["news2"]["score"] == 12
    assert {one.priority for one in found} == {"high"}


def test_a_new_parameter_at_three_sounds_again_even_at_the_same_total():
    ward = Ward()
    sick(ward, 1, 120, **ILL)
    acknowledge(ward, 120, "news2.high")
    sick(ward, 120, 300, **(ILL | {"respiratory_rate": 27, "heart_rate": 80}))  # 3 + 2 + 2 + 0 = 7
    found = changes(ward, "news2.high")
    assert [one.presence for one in found] == ["on", "acknowledged", "on"]
    assert found[-1].value == 7


def test_a_checkpoint_keeps_the_level_from_which_worsening_counts():
    """A restore between the acknowledgement and the worsening changes no alarm."""
    whole, cut = Ward(), Ward()
    for ward in (whole, cut):
        ward.steady(1, 60, "oxygen_saturation", 96)
        ward.steady(60, 80, "oxygen_saturation", 84)
        acknowledge(ward, 80, "limit.critical_low")
    fresh = type(cut.bank)()
    restore(fresh, block_of(cut.bank, 0, len(cut.log) - 1))
    fresh.finish_catch_up()
    fresh.time = cut.bank.time
    cut.bank = fresh
    for ward in (whole, cut):
        ward.steady(80, 120, "oxygen_saturation", 60)
    assert changes(cut, "limit.critical_low") == changes(whole, "limit.critical_low")
    assert changes(cut, "limit.critical_low")[-1].presence == "on"


def test_a_score_alarm_stays_while_there_is_no_score_and_ends_with_one():
    ward = Ward()
    sick(ward, 1, 120, **ILL)
    acknowledge(ward, 120, "news2.high")
    block = block_of(ward.bank, 0, len(ward.log) - 1)
    block.version -= 1  # in that version the columns of a channel had another meaning: filters start again
    for name in ("known_parts", "score_told", "mark"):
        del block.arrays[name]
    fresh = type(ward.bank)()
    restore(fresh, block)
    fresh.finish_catch_up()
    fresh.time = ward.bank.time
    ward.bank = fresh
    for at in range(121, 300):
        ward.take(Tick(T0 + at * S))
    sick(ward, 300, 310, heart_rate=80)
    for at in range(310, 400):
        ward.take(Tick(T0 + at * S))
    assert changes(ward, "news2.high")[-1].presence == "acknowledged"
    sick(ward, 400, 480, respiratory_rate=16, oxygen_saturation=97, systolic_bp=120, heart_rate=80)
    assert [one.presence for one in changes(ward, "news2.high")] == ["on", "acknowledged", "off"]
    assert changes(ward, "news2.high")[-1].value == 0


def test_inputs_that_become_too_old_end_no_score_alarm():
    ward = Ward()
    sick(ward, 1, 120, **ILL)
    for at in range(120, 26 * 3600, 20):
        ward.take(Tick(T0 + at * S))
    assert [one.presence for one in changes(ward, "news2.high")] == ["on"]
    assert ward.outcomes[-1].scores == [] or ward.outcomes[-1].scores[0].risk == "unknown"


def test_an_end_is_never_before_its_onset_and_numbers_count_up():
    ward = Ward()
    ward.steady(1, 60)
    for at in range(60, 120):
        ward.take(Tick(T0 + at * S))
    ward.take(frame(121, ("p", "heart_rate", 80, 55)))  # measured long before the silence was noticed
    found = changes(ward, "sensor.silent")
    assert [one.presence for one in found] == ["on", "off"]
    assert [one.number for one in found] == [1, 2]
    assert found[1].time >= found[0].time == found[0].onset
    assert (found[0].standing, found[1].standing, found[1].ended) == (True, False, found[1].time)


def test_a_latched_alarm_reports_the_end_of_its_condition():
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 60, value=150.0)
    ward.steady(60, 135)
    latched = changes(ward, "limit.critical_high")[-1]
    assert (latched.presence, latched.priority, latched.standing) == ("latched", "high", False)
    assert latched.ended == latched.time
    (stated,) = [one for one in complete(ward.bank, 0).transitions if one.condition == "limit.critical_high"]
    stated.emitted = latched.emitted
    assert stated == latched


def test_changes_of_older_versions_get_the_numbers_in_their_ids():
    old = Transition(id="abc-4", alarm="abc", patient="p", condition="limit.low", presence="latched", onset=0, time=0)
    assert (old.number, old.standing) == (4, False)


@pytest.mark.parametrize("signal", [signal for signal in SIGNALS if signal.filtered], ids=lambda signal: signal.name)
def test_every_signal_with_a_twin_has_a_step_of_worsening(signal):
    assert all(0 < step < 60 for step in signal.worse)


def test_a_retraction_leaves_numbers_in_order():
    ward = Ward()
    ward.steady(1, 30)
    ward.steady(30, 60, value=150.0)
    ward.take(Retract(patient="p", signal="heart_rate", time=T0 + 59 * S, received=T0 + 60 * S))
    ward.steady(60, 100)
    found = changes(ward, "limit.critical_high")
    assert [one.number for one in found] == sorted({one.number for one in found})
    assert [one.time for one in found] == sorted(one.time for one in found)
