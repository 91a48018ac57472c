"""Entries of a list of alarms: a silent ward is one entry, every alarm is in exactly one, and nothing else is merged."""

from hypothesis import given
from hypothesis import strategies as st

from twins.alarms.causes import causes
from twins.records import Transition

S = 1_000_000
T0 = 1_700_000_000 * S


def alarm(name, patient, at=0, condition="sensor.silent", silent_s=30.0, **more):
    return Transition(
        id=f"{name}-1", alarm=name, patient=patient, condition=condition, onset=T0 + round(at * S), time=T0,
        **{"ward": "A", "presence": "on", "explanation": {"silent_s": silent_s}, **more},
    )  # fmt: skip


def silent(count, at=0, ward="A", spread_s=1.0):
    return [alarm(f"{ward}{at}/{n}", f"{ward}{n}", at + spread_s * n / max(1, count), ward=ward) for n in range(count)]


def test_a_ward_whose_gateway_is_gone_is_one_entry():
    (entry,) = causes(silent(58), {"A": 60})
    assert (entry.kind, entry.patients, entry.of, entry.unanswered) == ("silent_ward", 58, 60, 58)
    assert entry.since == T0 - 30 * S


def test_it_is_one_entry_although_channels_are_noticed_after_different_times():
    """A channel read once an hour is noticed much later; what counts is when the last readings came."""
    late = [alarm(f"late {n}", f"A{n}", at=600, silent_s=630.0) for n in range(20, 30)]
    (entry,) = causes(silent(20) + late, {"A": 30})
    assert entry.patients == 30


def test_a_few_in_a_large_ward_stay_by_themselves_and_so_do_two_in_a_small_one():
    assert [one.kind for one in causes(silent(9), {"A": 60})] == ["alarm"] * 9
    assert [one.kind for one in causes(silent(2), {"A": 2})] == ["alarm"] * 2
    assert [one.kind for one in causes(silent(3), {"A": 6})] == ["silent_ward"]
    assert [one.kind for one in causes(silent(3), {"A": 7})] == ["alarm"] * 3
    assert [one.kind for one in causes(silent(10), {"A": 10_000})] == ["silent_ward"]


def test_what_fell_silent_at_another_time_or_in_another_ward_is_another_entry():
    found = causes(silent(20) + silent(20, at=100) + silent(20, ward="B"), {"A": 40, "B": 20})
    assert sorted((one.ward, one.patients) for one in found) == [("A", 20), ("A", 20), ("B", 20)]
    trickle = [alarm(str(n), f"p{n}", at=50 * n) for n in range(40)]  # one patient every 50 s for half an hour
    assert max(one.patients for one in causes(trickle, {"A": 40})) <= 7


def test_other_alarms_are_not_merged_and_the_more_urgent_come_first():
    high = alarm("h", "A1", condition="limit.critical_low", priority="high")
    medium = [alarm(f"m{n}", f"A{n}", condition="limit.low", priority="medium") for n in range(20)]
    found = causes([*silent(20), *medium, high], {"A": 20})
    assert [one.kind for one in found] == ["alarm"] * 21 + ["silent_ward"]
    assert found[0].alarms == [high]


def test_alarms_under_another_are_in_its_entry():
    lead, *others = silent(20)
    under = [alarm(f"under {n}", "A0", under=lead.alarm) for n in range(3)]
    (entry,) = causes([*under, lead, *others], {"A": 20})
    assert (len(entry.alarms), entry.patients, entry.unanswered) == (23, 20, 23)
    fault = alarm("f", "A5", condition="sensor.fault")
    below = alarm("g", "A5", condition="sensor.fault", under="f", presence="acknowledged")
    (entry,) = causes([below, fault], {"A": 20})
    assert ([one.alarm for one in entry.alarms], entry.unanswered) == (["f", "g"], 1)


names = st.sampled_from([f"n{n}" for n in range(12)])


@given(
    st.lists(
        st.builds(
            alarm, names, names, at=st.floats(0, 1000), condition=st.sampled_from(["sensor.silent", "limit.low"]),
            silent_s=st.floats(0, 900), ward=st.sampled_from("AB"), under=st.one_of(st.just(""), names),
            presence=st.sampled_from(["on", "latched", "acknowledged"]), standing=st.booleans(),
        ),
        unique_by=lambda one: one.alarm,
    ),
    st.dictionaries(st.sampled_from("AB"), st.integers(0, 12)),
)  # fmt: skip
def test_every_alarm_is_in_exactly_one_entry(active, sizes):
    found = causes(active, sizes)
    assert sorted(one.alarm for entry in found for one in entry.alarms) == sorted(one.alarm for one in active)
    assert sum(entry.unanswered for entry in found) == sum(one.presence != "acknowledged" for one in active)
    assert all(len({one.ward for one in entry.alarms if not one.under}) <= 1 for entry in found)
